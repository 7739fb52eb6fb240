package sora.edge

import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val STEP = "step"
private const val FRAMES = "frames"
private const val STATE = "state_"
private const val VALUE_BYTES = 4 // of a float or an int

/** What `Stepper` needs of an interpreter. */
interface Runtime : Closeable {
    val signatures: Set<String>

    /** Names and bytes of a signature's inputs. */
    fun inputs(signature: String): Map<String, Int>

    /** Names and bytes of a signature's outputs. */
    fun outputs(signature: String): Map<String, Int>

    /** Runs a signature from direct buffers into direct buffers. */
    fun run(signature: String, inputs: Map<String, ByteBuffer>, outputs: Map<String, ByteBuffer>)
}

/**
 * A model's signature `step`, frame by frame. The states of one frame are the inputs of the next:
 * they lie in two sets of buffers that change places, so none is ever copied.
 *
 * Not thread-safe. It closes `runtime` when it is closed.
 *
 * @param answers names of the outputs that are wanted.
 */
internal class Stepper(
    private val runtime: Runtime,
    metadata: Metadata,
    answers: List<String>
) : Closeable {
    /** The next frame goes here: (H, W, 3) bytes, RGB. */
    val frame: ByteBuffer = buffer(metadata.height * metadata.width * 3)

    private val results: Map<String, ByteBuffer>
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
        results = answers.associateWith { name ->
            buffer(
                outputs[name]
                    ?: throw ModelException(
                        "The model's signature step lacks $name. Export it anew."
                    )
            )
        }
        given = states.mapValues { buffer(it.value) }
        taken = states.mapValues { buffer(it.value) }
    }

    /** Looks at what lies in `frame`. */
    fun run() {
        runtime.run(STEP, given + mapOf(FRAMES to frame), taken + results)
        given = taken.also { taken = given }
    }

    /** How many numbers an answer has. */
    fun count(name: String): Int = results.getValue(name).capacity() / VALUE_BYTES

    /** An answer of numbers with fractions. */
    fun floats(name: String): FloatArray {
        val out = FloatArray(count(name))
        from(name).asFloatBuffer().get(out)
        return out
    }

    /** An answer of whole numbers. */
    fun ints(name: String): IntArray {
        val out = IntArray(count(name))
        from(name).asIntBuffer().get(out)
        return out
    }

    /** Forgets all frames. */
    fun reset() {
        for (state in given.values) for (place in 0 until state.capacity()) state.put(place, 0)
    }

    override fun close() = runtime.close()

    private fun from(name: String): ByteBuffer {
        val found = results.getValue(name)
        found.rewind()
        return found
    }

    private fun buffer(bytes: Int): ByteBuffer =
        ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
}
