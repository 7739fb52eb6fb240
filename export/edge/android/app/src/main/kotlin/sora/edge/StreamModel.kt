package sora.edge

import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val STEP = "step"
private const val FRAMES = "frames"
private const val STATE = "state_"
private const val RECENT_SCORES = "recent_scores"
private const val RECENT_VECTOR = "recent_vector"
private const val FLOAT_BYTES = 4

/** What `StreamModel` needs of an interpreter. */
interface Runtime : Closeable {
    val signatures: Set<String>

    /** Names and bytes of a signature's inputs. */
    fun inputs(signature: String): Map<String, Int>

    /** Names and bytes of a signature's outputs. */
    fun outputs(signature: String): Map<String, Int>

    /** Runs a signature from direct buffers into direct buffers. */
    fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>)
}

/** What a model says of the last T frames. */
class Answer(val label: String, val score: Float, val scores: FloatArray, val vector: FloatArray)

/**
 * A causal model frame by frame, on its signature `step`. The states of one frame are the inputs
 * of the next: they lie in two sets of buffers that change places, so none is ever copied.
 *
 * Not thread-safe. It closes `runtime` when it is closed.
 */
class StreamModel(private val runtime: Runtime, private val metadata: Metadata) : Closeable {
    /** The next frame goes here: (H, W, 3) bytes, RGB. */
    val frame: ByteBuffer = buffer(metadata.height * metadata.width * 3)

    private val scores: ByteBuffer
    private val vector: ByteBuffer
    private var given: Map<String, ByteBuffer>
    private var taken: Map<String, ByteBuffer>

    init {
        if (STEP !in runtime.signatures) {
            throw ModelException("The model has no signature step. Train it with edges=\"causal\".")
        }
        val inputs = runtime.inputs(STEP)
        val outputs = runtime.outputs(STEP)
        val states = inputs.filterKeys { it.startsWith(STATE) }
        if (inputs[FRAMES] != frame.capacity() || !states.all { outputs[it.key] == it.value }) {
            throw ModelException(
                "The model's signature step is not as its facts say. Export it anew."
            )
        }
        scores = buffer(outputs[RECENT_SCORES] ?: throw missing(RECENT_SCORES))
        vector = buffer(outputs[RECENT_VECTOR] ?: throw missing(RECENT_VECTOR))
        given = states.mapValues { buffer(it.value) }
        taken = states.mapValues { buffer(it.value) }
        if (scores.capacity() != metadata.labels.size * FLOAT_BYTES) {
            throw ModelException(
                "The model has another number of scores than labels. Export it anew."
            )
        }
    }

    /** Looks at what lies in `frame`, and answers for the last T frames. */
    fun step(): Answer {
        val results = taken + mapOf(RECENT_SCORES to scores, RECENT_VECTOR to vector)
        runtime.run(STEP, given + mapOf(FRAMES to frame), results)
        given = taken.also { taken = given }
        val values = floats(scores)
        var best = 0
        for (place in values.indices) if (values[place] > values[best]) best = place
        return Answer(metadata.labels[best], values[best], values, floats(vector))
    }

    /** Forgets all frames. */
    fun reset() {
        for (state in given.values) for (place in 0 until state.capacity()) state.put(place, 0)
    }

    override fun close() = runtime.close()

    private fun floats(from: ByteBuffer): FloatArray {
        val out = FloatArray(from.capacity() / FLOAT_BYTES)
        from.rewind()
        from.asFloatBuffer().get(out)
        return out
    }

    private fun buffer(bytes: Int): ByteBuffer =
        ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

    private fun missing(name: String) =
        ModelException("The model's signature step lacks $name. Export it anew.")
}
