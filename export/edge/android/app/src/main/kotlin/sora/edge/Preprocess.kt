package sora.edge

import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val TAPS = 4 // points across an output pixel, each way
private const val POINTS = TAPS * TAPS

/**
 * Where the pixels of a picture lie in memory, and how it has to be turned to stand upright.
 *
 * @property width pixels across, before it is turned.
 * @property height pixels down, before it is turned.
 * @property rowStride bytes from one row to the next.
 * @property pixelStride bytes from one pixel to the next.
 * @property rotation degrees to turn it clockwise: 0, 90, 180 or 270.
 */
data class Layout(
    val width: Int,
    val height: Int,
    val rowStride: Int,
    val pixelStride: Int,
    val rotation: Int
)

/**
 * Turns, scales and fits RGBA pictures to the RGB frames of a model: the numbers of `fit_frame` in
 * runner.py. An output pixel is the mean of 4×4 points spread over the pixels that it covers.
 */
class Preprocess(private val height: Int, private val width: Int, private val fit: String) {
    private var layout: Layout? = null
    private var rows = Axis(IntArray(0), 0)
    private var columns = Axis(IntArray(0), 0)

    /** Writes a picture, four bytes a pixel in the order R, G, B, A, into `out` (H, W, 3). */
    fun rgb(picture: ByteBuffer, of: Layout, out: ByteBuffer) {
        if (of != layout) plan(of)
        val pixels = picture.duplicate().order(ByteOrder.LITTLE_ENDIAN)
        if (rows.count < height || columns.count < width) {
            for (place in 0 until height * width * 3) out.put(place, 0)
        }
        for (row in 0 until rows.count) {
            var place = ((rows.filled + row) * width + columns.filled) * 3
            for (column in 0 until columns.count) {
                var redAndBlue = 0 // two sums in one number: 16 points reach at most 4080 each
                var green = 0
                for (down in row * TAPS until (row + 1) * TAPS) {
                    val line = rows.offsets[down]
                    for (across in column * TAPS until (column + 1) * TAPS) {
                        val pixel = pixels.getInt(line + columns.offsets[across])
                        redAndBlue += pixel and 0xff00ff
                        green += pixel ushr 8 and 0xff
                    }
                }
                out.put(place++, mean(redAndBlue and 0xffff))
                out.put(place++, mean(green))
                out.put(place++, mean(redAndBlue ushr 16))
            }
        }
    }

    private fun mean(sum: Int): Byte = ((sum + POINTS / 2) / POINTS).toByte()

    private fun plan(of: Layout) {
        val turned = of.rotation % 180 != 0
        val shown = if (turned) Pair(of.width, of.height) else Pair(of.height, of.width)
        val scaled = scaledSize(shown.first, shown.second)
        val down = if (turned) of.pixelStride else of.rowStride // bytes to the next row as shown
        val across = if (turned) of.rowStride else of.pixelStride
        rows =
            axis(shown.first, scaled.first, height, down, of.rotation == 180 || of.rotation == 270)
        columns =
            axis(
                shown.second,
                scaled.second,
                width,
                across,
                of.rotation == 90 || of.rotation == 180
            )
        layout = of
    }

    /** The size that a picture shown at a size is scaled to, before it is cut or framed. */
    private fun scaledSize(shownHeight: Int, shownWidth: Int): Pair<Int, Int> {
        if (fit == "stretch") return Pair(height, width)
        val tall = height.toDouble() / shownHeight
        val wide = width.toDouble() / shownWidth
        val scale = if (fit == "cover") maxOf(tall, wide) else minOf(tall, wide)
        val rows = maxOf(1, Math.rint(shownHeight * scale).toInt())
        val columns = maxOf(1, Math.rint(shownWidth * scale).toInt())
        return if (fit == "cover") {
            Pair(maxOf(height, rows), maxOf(width, columns))
        } else {
            Pair(minOf(height, rows), minOf(width, columns))
        }
    }

    /** Byte offsets of the points of each output pixel along one axis. */
    private fun axis(length: Int, scaled: Int, room: Int, stride: Int, backward: Boolean): Axis {
        val used = minOf(scaled, room)
        val first = (scaled - used) / 2
        val offsets = IntArray(used * TAPS) { number ->
            // In units of 1/(2·TAPS·scaled) of the picture's pixels, so that nothing is rounded.
            val middle = (2L * (first + number / TAPS) + 1) * length * TAPS
            val spread = (2L * (number % TAPS) + 1 - TAPS) * maxOf(length, scaled)
            val point = Math.floorDiv(middle + spread, 2L * TAPS * scaled).toInt()
            val pixel = minOf(maxOf(point, 0), length - 1)
            (if (backward) length - 1 - pixel else pixel) * stride
        }
        return Axis(offsets, (room - used) / 2)
    }

    private class Axis(val offsets: IntArray, val filled: Int) {
        val count = offsets.size / TAPS
    }
}
