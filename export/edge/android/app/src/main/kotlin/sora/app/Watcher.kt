package sora.app

import androidx.camera.core.ImageProxy
import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.MappedByteBuffer
import sora.edge.Answer
import sora.edge.DetectorModel
import sora.edge.Found
import sora.edge.FrameClock
import sora.edge.Layout
import sora.edge.Metadata
import sora.edge.Preprocess
import sora.edge.StreamModel

private const val THREADS = 2

/** What a model says after a picture. */
sealed class Seen {
    /** What a classifier says of the last frames. */
    class Named(val answer: Answer) : Seen()

    /** What a detector found on a picture, and how large that is when it stands upright. */
    class Things(val found: List<Found>, val width: Int, val height: Int) : Seen()
}

/** The model, its clock and its preprocessing, for one camera. */
class Watcher(model: MappedByteBuffer) : Closeable {
    private val metadata = Metadata.of(model)
    private val preprocess = Preprocess(metadata.height, metadata.width, metadata.fit)
    private val clock = FrameClock(metadata.frameRate)
    private val eye = LiteRtRuntime(model, THREADS).let {
        if (metadata.threshold == null) Classifying(it, metadata) else Detecting(it, metadata)
    }

    /** The answer after this picture; null where it is not due. */
    fun look(image: ImageProxy): Seen? {
        val due = clock.due(image.imageInfo.timestamp)
        if (due == 0) return null
        val plane = image.planes[0]
        val layout = Layout(
            image.width,
            image.height,
            plane.rowStride,
            plane.pixelStride,
            image.imageInfo.rotationDegrees
        )
        preprocess.rgb(plane.buffer, layout, eye.frame)
        var seen: Seen? = null
        repeat(due) { seen = eye.step(layout) }
        return seen
    }

    /** Forgets what was before a pause. */
    fun pause() {
        clock.reset()
        eye.reset()
    }

    override fun close() = eye.close()
}

/** A model of either kind. */
private interface Eye : Closeable {
    val frame: ByteBuffer

    fun step(picture: Layout): Seen

    fun reset()
}

private class Classifying(runtime: LiteRtRuntime, metadata: Metadata) : Eye {
    private val model = StreamModel(runtime, metadata)
    override val frame: ByteBuffer get() = model.frame

    override fun step(picture: Layout) = Seen.Named(model.step())

    override fun reset() = model.reset()

    override fun close() = model.close()
}

private class Detecting(runtime: LiteRtRuntime, metadata: Metadata) : Eye {
    private val model = DetectorModel(runtime, metadata)
    override val frame: ByteBuffer get() = model.frame

    override fun step(picture: Layout): Seen {
        val lies = picture.rotation % 180 != 0
        val width = if (lies) picture.height else picture.width
        val height = if (lies) picture.width else picture.height
        return Seen.Things(model.step(), width, height)
    }

    override fun reset() = model.reset()

    override fun close() = model.close()
}
