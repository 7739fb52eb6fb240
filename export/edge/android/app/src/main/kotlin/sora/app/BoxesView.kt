package sora.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import sora.edge.Found

private const val LINE = 6f // pixels

/** Boxes over a camera's picture that is shown whole, in the middle of a view as large as this. */
class BoxesView(context: Context) : View(context) {
    private val paint = Paint().apply {
        style = Paint.Style.STROKE
        strokeWidth = LINE
        color = Color.YELLOW
    }
    private var found: List<Found> = emptyList()
    private var across = 1
    private var down = 1

    /** Shows what was found on a picture of so many pixels across and down. */
    fun show(found: List<Found>, across: Int, down: Int) {
        this.found = found
        this.across = across
        this.down = down
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val scale = minOf(width.toFloat() / across, height.toFloat() / down)
        val shownWidth = across * scale
        val shownHeight = down * scale
        val left = (width - shownWidth) / 2
        val top = (height - shownHeight) / 2
        for (thing in found) {
            canvas.drawRect(
                left + thing.left * shownWidth,
                top + thing.top * shownHeight,
                left + (thing.left + thing.width) * shownWidth,
                top + (thing.top + thing.height) * shownHeight,
                paint
            )
        }
    }
}
