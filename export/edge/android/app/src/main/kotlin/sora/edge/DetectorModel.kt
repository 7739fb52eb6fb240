package sora.edge

import java.io.Closeable
import java.nio.ByteBuffer

private const val BOXES = "boxes"
private const val SCORES = "box_scores"
private const val CLASSES = "box_classes"

/** A thing that a detector found; where it is, in shares of the picture from 0 to 1. */
class Found(
    val label: String,
    val score: Float,
    val left: Float,
    val top: Float,
    val width: Float,
    val height: Float
)

/**
 * A detector frame by frame.
 *
 * Not thread-safe. It closes `runtime` when it is closed.
 */
class DetectorModel(runtime: Runtime, private val metadata: Metadata) : Closeable {
    private val stepper = Stepper(runtime, metadata, listOf(BOXES, SCORES, CLASSES))
    private val threshold = metadata.threshold
        ?: throw ModelException("The model is no detector. Use StreamModel.")

    /** The next frame goes here: (H, W, 3) bytes, RGB. */
    val frame: ByteBuffer get() = stepper.frame

    init {
        val most = stepper.count(SCORES)
        if (stepper.count(BOXES) != 4 * most || stepper.count(CLASSES) != most) {
            throw ModelException("The model has other numbers of boxes and scores. Export it anew.")
        }
    }

    /** Looks at what lies in `frame`, and says what is there, the surest first. */
    fun step(): List<Found> {
        stepper.run()
        val boxes = stepper.floats(BOXES)
        val scores = stepper.floats(SCORES)
        val classes = stepper.ints(CLASSES)
        return scores.indices.filter { scores[it] >= threshold }.map { place ->
            val (left, right) = side(boxes[4 * place], boxes[4 * place + 2], metadata.width)
            val (top, bottom) = side(boxes[4 * place + 1], boxes[4 * place + 3], metadata.height)
            val label = metadata.labels[classes[place]]
            Found(label, scores[place], left, top, right - left, bottom - top)
        }
    }

    /** Forgets all frames. */
    fun reset() = stepper.reset()

    override fun close() = stepper.close()

    /** From where to where, in shares of the picture, what of a box lies in it. */
    private fun side(first: Float, length: Float, pixels: Int): Pair<Float, Float> = Pair(
        (first / pixels).coerceIn(0f, 1f),
        ((first + length) / pixels).coerceIn(0f, 1f)
    )
}
