package sora.edge

import java.io.Closeable
import java.nio.ByteBuffer

private const val RECENT_SCORES = "recent_scores"
private const val RECENT_VECTOR = "recent_vector"

/** What a model says of the last T frames. */
class Answer(val label: String, val score: Float, val scores: FloatArray, val vector: FloatArray)

/**
 * A causal classifier frame by frame.
 *
 * Not thread-safe. It closes `runtime` when it is closed.
 */
class StreamModel(runtime: Runtime, private val metadata: Metadata) : Closeable {
    private val stepper = Stepper(runtime, metadata, listOf(RECENT_SCORES, RECENT_VECTOR))

    /** The next frame goes here: (H, W, 3) bytes, RGB. */
    val frame: ByteBuffer get() = stepper.frame

    init {
        if (stepper.count(RECENT_SCORES) != metadata.labels.size) {
            throw ModelException(
                "The model has another number of scores than labels. Export it anew."
            )
        }
    }

    /** Looks at what lies in `frame`, and answers for the last T frames. */
    fun step(): Answer {
        stepper.run()
        val scores = stepper.floats(RECENT_SCORES)
        var best = 0
        for (place in scores.indices) if (scores[place] > scores[best]) best = place
        return Answer(metadata.labels[best], scores[best], scores, stepper.floats(RECENT_VECTOR))
    }

    /** Forgets all frames. */
    fun reset() = stepper.reset()

    override fun close() = stepper.close()
}
