package sora.edge

/**
 * Says by its time stamp how often a camera's frame is due: 0 when the camera is faster than the
 * model's frame rate, 2 when it is slower, never by counting frames.
 *
 * @param rate frames a second that the model was trained on.
 * @param most times that one frame is used at most. Moments beyond that are skipped, so that a
 *     model too slow for the rate does not fall behind further and further.
 */
class FrameClock(private val rate: Double, private val most: Int = 2) {
    private var start = Long.MIN_VALUE
    private var given = 0L

    /** Moments that have been skipped. */
    var late = 0L
        private set

    /** How often to use the frame with this time stamp, in ns. */
    fun due(nanoseconds: Long): Int {
        if (start == Long.MIN_VALUE) start = nanoseconds
        val passed = Math.floor((nanoseconds - start) * 1e-9 * rate + 1e-6).toLong() + 1
        val due = maxOf(0L, passed - given)
        given += due
        val used = minOf(due, most.toLong())
        late += due - used
        return used.toInt()
    }

    /** Begins anew, after a pause. */
    fun reset() {
        start = Long.MIN_VALUE
        given = 0
    }
}
