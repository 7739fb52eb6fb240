package sora.app

import java.nio.ByteBuffer
import java.nio.MappedByteBuffer
import org.tensorflow.lite.Interpreter
import sora.edge.Runtime

/** Runs a model's signatures with LiteRT, on the CPU (XNNPACK). */
class LiteRtRuntime(model: MappedByteBuffer, threads: Int) : Runtime {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(threads))

    override val signatures: Set<String> get() = interpreter.signatureKeys.toSet()

    override fun inputs(signature: String): Map<String, Int> =
        interpreter.getSignatureInputs(signature).associateWith {
            interpreter.getInputTensorFromSignature(it, signature).numBytes()
        }

    override fun outputs(signature: String): Map<String, Int> =
        interpreter.getSignatureOutputs(signature).associateWith {
            interpreter.getOutputTensorFromSignature(it, signature).numBytes()
        }

    override fun run(
        signature: String,
        inputs: Map<String, ByteBuffer>,
        outputs: Map<String, ByteBuffer>
    ) {
        // Copies begin where a buffer stands, and leave it at its end.
        for (buffer in inputs.values) buffer.rewind()
        for (buffer in outputs.values) buffer.rewind()
        interpreter.runSignature(
            HashMap<String, Any>(inputs),
            HashMap<String, Any>(outputs),
            signature
        )
    }

    override fun close() = interpreter.close()
}
