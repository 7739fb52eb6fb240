package sora.edge

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.Inflater

private const val END = 0x06054b50
private const val ENTRY = 0x02014b50
private const val END_BYTES = 22
private const val ENTRY_BYTES = 46
private const val LOCAL_BYTES = 30
private const val COMMENT_BYTES = 65535
private const val STORED = 0
private const val DEFLATED = 8

/** A model file that cannot be used. */
class ModelException(message: String) : Exception(message)

/**
 * Reads a file out of the ZIP archive that ends a model file.
 *
 * java.util.zip.ZipFile wants a file of its own, and ZipInputStream one that begins with the
 * archive. A model in an app's assets is neither, but it can be mapped into memory.
 */
fun readArchived(file: ByteBuffer, name: String): ByteArray {
    val bytes = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    val end = findEnd(bytes)
    var entry = end - bytes.getInt(end + 12) // the list of entries lies just before the end
    val start = entry - bytes.getInt(end + 16) // where offsets count from
    while (entry + ENTRY_BYTES <= end && bytes.getInt(entry) == ENTRY) {
        val nameLength = unsigned(bytes, entry + 28)
        if (text(bytes, entry + ENTRY_BYTES, nameLength) == name) {
            val local = start + bytes.getInt(entry + 42)
            val data =
                local + LOCAL_BYTES + unsigned(bytes, local + 26) + unsigned(bytes, local + 28)
            val packed = slice(bytes, data, bytes.getInt(entry + 20))
            return unpack(packed, unsigned(bytes, entry + 10), bytes.getInt(entry + 24))
        }
        entry +=
            ENTRY_BYTES + nameLength + unsigned(bytes, entry + 30) + unsigned(bytes, entry + 32)
    }
    throw ModelException("The model holds no $name. Make it with `sora-tf export`.")
}

private fun findEnd(bytes: ByteBuffer): Int {
    val last = bytes.limit() - END_BYTES
    for (place in last downTo maxOf(0, last - COMMENT_BYTES)) {
        if (bytes.getInt(place) == END) return place
    }
    throw ModelException("The model holds no facts: it is cut short, or no model of sora_tf.")
}

private fun unpack(packed: ByteArray, method: Int, length: Int): ByteArray {
    if (method == STORED) return packed
    if (method != DEFLATED) {
        throw ModelException("The model's archive is packed by method $method. Export it anew.")
    }
    val inflater = Inflater(true)
    val out = ByteArray(length)
    try {
        inflater.setInput(packed)
        var done = 0
        while (done < length) {
            val more = inflater.inflate(out, done, length - done)
            if (more == 0) throw ModelException("The model's archive is damaged. Export it anew.")
            done += more
        }
    } finally {
        inflater.end()
    }
    return out
}

private fun unsigned(bytes: ByteBuffer, place: Int): Int = bytes.getShort(place).toInt() and 0xffff

private fun text(bytes: ByteBuffer, place: Int, length: Int): String =
    String(slice(bytes, place, length), Charsets.UTF_8)

private fun slice(bytes: ByteBuffer, place: Int, length: Int): ByteArray {
    val out = ByteArray(length)
    val view = bytes.duplicate()
    view.position(place)
    view.get(out)
    return out
}
