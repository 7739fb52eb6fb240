package sora.edge

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/*
 * Runs the parts without Android on a JVM. tests/export/test_android.py compiles and calls it, and
 * compares what it prints with runner.py:
 *
 *     facts MODEL                               what the model says of itself
 *     frame WIDTH HEIGHT ROTATION SIZE FIT      a made picture as a frame of SIZE (HxW), in hex
 *     clock RATE TIME TIME ...                  how often each frame is due; times in ms
 *     stream MODEL                              states and answers over a counting runtime
 *     detect MODEL                              boxes of a runtime that finds the same four
 */
fun main(arguments: Array<String>) {
    val rest = arguments.drop(1)
    when (arguments[0]) {
        "facts" -> println(facts(read(rest[0])))
        "frame" -> println(frame(rest))
        "clock" -> println(clock(rest))
        "stream" -> stream(Metadata.of(read(rest[0])))
        "detect" -> detect(Metadata.of(read(rest[0])))
    }
}

private fun read(path: String): ByteBuffer = ByteBuffer.wrap(File(path).readBytes())

private fun facts(model: ByteBuffer): String {
    val facts = Metadata.of(model)
    val labels = facts.labels.joinToString(",")
    val size = "${facts.height}|${facts.width}"
    return "$labels|${facts.frames}|$size|${facts.fit}|${facts.frameRate}|${facts.threshold}"
}

/** A picture of (7·row + 3·column + 40·channel) mod 256, with 12 bytes to spare in each row. */
private fun frame(rest: List<String>): String {
    val width = rest[0].toInt()
    val height = rest[1].toInt()
    val layout = Layout(width, height, width * 4 + 12, 4, rest[2].toInt())
    val picture = ByteBuffer.allocateDirect(layout.rowStride * height)
    for (row in 0 until height) {
        for (column in 0 until width) {
            for (channel in 0 until 3) {
                val place = row * layout.rowStride + column * 4 + channel
                picture.put(place, (7 * row + 3 * column + 40 * channel).toByte())
            }
        }
    }
    val size = rest[3].split("x").map { it.toInt() }
    val out = ByteBuffer.allocateDirect(size[0] * size[1] * 3)
    Preprocess(size[0], size[1], rest[4]).rgb(picture, layout, out)
    return (0 until out.capacity()).joinToString("") { String.format("%02x", out.get(it)) }
}

private fun clock(rest: List<String>): String {
    val clock = FrameClock(rest[0].toDouble())
    val due = rest.drop(1).map { clock.due(it.toLong() * 1000000) }
    return "${due.joinToString(",")} ${clock.late}"
}

/** The state counts frames, and the first score is that count. */
private class Counting(private val metadata: Metadata) : Runtime {
    override val signatures = setOf("step")

    override fun inputs(signature: String) =
        mapOf("frames" to metadata.height * metadata.width * 3, "state_count" to 4)

    override fun outputs(signature: String) =
        mapOf("recent_scores" to metadata.labels.size * 4, "recent_vector" to 8, "state_count" to 4)

    override fun run(
        signature: String,
        inputs: Map<String, ByteBuffer>,
        outputs: Map<String, ByteBuffer>
    ) {
        check(inputs.getValue("state_count") !== outputs.getValue("state_count"))
        check(
            (inputs.values + outputs.values).all {
                it.isDirect &&
                    it.order() == ByteOrder.nativeOrder()
            }
        )
        val count = inputs.getValue("state_count").getFloat(0) + 1
        outputs.getValue("state_count").putFloat(0, count)
        outputs.getValue("recent_scores").putFloat(0, count)
    }

    override fun close() = println("closed")
}

private fun stream(metadata: Metadata) {
    val model = StreamModel(Counting(metadata), metadata)
    println((1..3).joinToString(",") { model.step().score.toString() })
    model.reset()
    println("${model.step().score} ${model.step().label}")
    model.close()
}

/** Finds four boxes of 10 × 20 pixels, each further to the right and less sure than the last. */
private class Boxes(private val metadata: Metadata) : Runtime {
    override val signatures = setOf("step")

    override fun inputs(signature: String) =
        mapOf("frames" to metadata.height * metadata.width * 3)

    override fun outputs(signature: String) =
        mapOf("boxes" to 4 * 16, "box_scores" to 4 * 4, "box_classes" to 4 * 4)

    override fun run(
        signature: String,
        inputs: Map<String, ByteBuffer>,
        outputs: Map<String, ByteBuffer>
    ) {
        for (number in 0 until 4) {
            val box = floatArrayOf(40f * number - 5, 30f, 10f, 20f)
            for (side in 0 until 4) {
                outputs.getValue("boxes").putFloat(16 * number + 4 * side, box[side])
            }
            outputs.getValue("box_scores").putFloat(4 * number, 0.9f - 0.2f * number)
            outputs.getValue("box_classes").putInt(4 * number, number % metadata.labels.size)
        }
    }

    override fun close() = println("closed")
}

private fun detect(metadata: Metadata) {
    val model = DetectorModel(Boxes(metadata), metadata)
    for (thing in model.step()) {
        val sides = listOf(thing.score, thing.left, thing.top, thing.width, thing.height)
        println("${thing.label}|${sides.joinToString("|")}")
    }
    model.close()
}
