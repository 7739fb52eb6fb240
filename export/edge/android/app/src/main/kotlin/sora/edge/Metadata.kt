package sora.edge

import java.nio.ByteBuffer

/**
 * What a model file says of itself in its sora_tf.json.
 *
 * @property labels class names, in the order of the scores.
 * @property frames T, the frames that an answer looks at.
 * @property height pixels of the model's frames.
 * @property width pixels of the model's frames.
 * @property fit how another picture fills them: "stretch", "cover" or "contain".
 * @property frameRate frames a second that the model was trained on.
 * @property threshold the score from which on a detector's boxes count; null is no detector.
 */
class Metadata(
    val labels: List<String>,
    val frames: Int,
    val height: Int,
    val width: Int,
    val fit: String,
    val frameRate: Double,
    val threshold: Float?
) {
    companion object {
        /** Reads the facts of a model that is mapped into memory. */
        fun of(model: ByteBuffer): Metadata {
            val told = Json.parse(String(readArchived(model, "sora_tf.json"), Charsets.UTF_8))
            val facts = told as? Map<*, *> ?: throw missing("facts")
            val size = facts["size"] as? List<*> ?: throw missing("size")
            val labels = facts["labels"] as? List<*> ?: throw missing("labels")
            return Metadata(
                labels.map { it.toString() },
                number(facts["frames"], "frames").toInt(),
                number(size.getOrNull(0), "size").toInt(),
                number(size.getOrNull(1), "size").toInt(),
                facts["fit"] as? String ?: throw missing("fit"),
                number(facts["frame_rate"], "frame_rate"),
                facts["threshold"]?.let { number(it, "threshold").toFloat() }
            )
        }

        private fun number(value: Any?, name: String): Double =
            value as? Double ?: throw missing(name)

        private fun missing(name: String) =
            ModelException("The model's facts lack $name. Make it with `sora-tf export`.")
    }
}
