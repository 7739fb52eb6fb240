package sora.app

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.Color
import android.os.Bundle
import android.util.Size
import android.view.Gravity
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.view.WindowManager
import android.widget.FrameLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.core.resolutionselector.ResolutionStrategy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import java.io.FileInputStream
import java.io.IOException
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import java.util.Locale
import java.util.concurrent.Executors
import sora.edge.ModelException

private const val MODEL = "model.tflite"
private val CAMERA_SIZE = Size(640, 480) // small: the model's frames are smaller still

/** Shows what the camera sees, and what the model says of it. */
class MainActivity : ComponentActivity() {
    private val analysis = Executors.newSingleThreadExecutor()
    private lateinit var preview: PreviewView
    private lateinit var text: TextView
    private lateinit var boxes: BoxesView
    private var watcher: Watcher? = null // used by the analysis thread alone

    private val permission =
        registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
            if (granted) {
                startCamera()
            } else {
                text.text =
                    "The camera is not allowed. Allow it in the settings."
            }
        }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        preview = PreviewView(this).apply { scaleType = PreviewView.ScaleType.FIT_CENTER }
        boxes = BoxesView(this)
        text = TextView(this).apply {
            textSize = 24f
            setTextColor(Color.WHITE)
            setBackgroundColor(Color.argb(160, 0, 0, 0))
            setPadding(32, 32, 32, 64)
        }
        val root = FrameLayout(this)
        root.addView(preview, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        root.addView(boxes, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        root.addView(text, FrameLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT, Gravity.BOTTOM))
        setContentView(root)
        val allowed = ContextCompat.checkSelfPermission(this, Manifest.permission.CAMERA)
        if (allowed == PackageManager.PERMISSION_GRANTED) {
            startCamera()
        } else {
            permission.launch(Manifest.permission.CAMERA)
        }
    }

    override fun onStop() {
        super.onStop()
        analysis.execute { watcher?.pause() }
    }

    override fun onDestroy() {
        super.onDestroy()
        // The camera is unbound by now; what it still had in hand stands in the queue before this.
        analysis.execute {
            watcher?.close()
            watcher = null
        }
        analysis.shutdown()
    }

    private fun startCamera() {
        analysis.execute {
            try {
                watcher = Watcher(mapModel())
            } catch (error: ModelException) {
                show(error.message)
            } catch (error: IOException) {
                show("There is no $MODEL in the assets. Copy one there, and build again.")
            } catch (error: RuntimeException) {
                show("LiteRT cannot load the model: ${error.message}")
            }
        }
        val provider = ProcessCameraProvider.getInstance(this)
        provider.addListener({ bind(provider.get()) }, ContextCompat.getMainExecutor(this))
    }

    private fun bind(cameras: ProcessCameraProvider) {
        if (isDestroyed) return
        val shape = ResolutionSelector.Builder()
            .setAspectRatioStrategy(AspectRatioStrategy.RATIO_4_3_FALLBACK_AUTO_STRATEGY)
        val shown = Preview.Builder().setResolutionSelector(shape.build()).build()
        shown.setSurfaceProvider(preview.surfaceProvider)
        val size = shape
            .setResolutionStrategy(
                ResolutionStrategy(
                    CAMERA_SIZE,
                    ResolutionStrategy.FALLBACK_RULE_CLOSEST_HIGHER_THEN_LOWER
                )
            )
            .build()
        val analysed = ImageAnalysis.Builder()
            .setResolutionSelector(size)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .build()
        analysed.setAnalyzer(analysis) { image -> image.use { analyse(it) } }
        try {
            cameras.unbindAll()
            cameras.bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, shown, analysed)
        } catch (error: IllegalArgumentException) {
            text.text = "There is no camera at the back of this device."
        }
    }

    private fun analyse(image: ImageProxy) {
        watcher?.look(image)?.let { seen -> runOnUiThread { seen.show() } }
    }

    private fun Seen.show() {
        when (this) {
            is Seen.Named -> text.text = line(answer.label, answer.score)
            is Seen.Things -> {
                boxes.show(found, width, height)
                text.text = found.joinToString("\n") { line(it.label, it.score) }
            }
        }
    }

    private fun line(label: String, score: Float) =
        String.format(Locale.ROOT, "%s  %.2f", label, score)

    private fun show(line: String?) = runOnUiThread { text.text = line }

    private fun mapModel(): MappedByteBuffer = assets.openFd(MODEL).use { asset ->
        FileInputStream(asset.fileDescriptor).channel.use { channel ->
            channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
        }
    }
}
