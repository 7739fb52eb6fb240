package sora.edge

private val ESCAPED = mapOf('n' to '\n', 't' to '\t', 'r' to '\r', 'b' to '\b', 'f' to '\u000c')

/** Reads JSON to Map, List, String, Double, Boolean and null, without a library. */
class Json private constructor(private val text: String) {
    private var place = 0

    companion object {
        fun parse(text: String): Any? {
            val json = Json(text)
            val value = json.value()
            json.space()
            if (json.place != text.length) json.fail()
            return value
        }
    }

    private fun value(): Any? {
        space()
        return when (peek()) {
            '{' -> map()
            '[' -> list()
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun map(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        each('}') {
            space()
            val key = string()
            space()
            expect(':')
            found[key] = value()
        }
        return found
    }

    private fun list(): List<Any?> {
        val found = ArrayList<Any?>()
        each(']') { found.add(value()) }
        return found
    }

    /** Reads items between commas, from the opening bracket to the closing one. */
    private fun each(closing: Char, item: () -> Unit) {
        place++
        space()
        if (peek() != closing) {
            do {
                item()
                space()
            } while (take(','))
        }
        expect(closing)
    }

    private fun string(): String {
        expect('"')
        val found = StringBuilder()
        while (peek() != '"') {
            val letter = text[place++]
            found.append(if (letter == '\\') escaped() else letter)
        }
        place++
        return found.toString()
    }

    private fun escaped(): Char {
        val letter = next()
        return if (letter == 'u') unicode() else ESCAPED[letter] ?: letter
    }

    private fun unicode(): Char {
        if (place + 4 > text.length) fail()
        place += 4
        return text.substring(place - 4, place).toIntOrNull(16)?.toChar() ?: fail()
    }

    private fun number(): Double {
        val begin = place
        while (place < text.length && text[place] in "+-.0123456789eE") place++
        return text.substring(begin, place).toDoubleOrNull() ?: fail()
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, place)) fail()
        place += word.length
        return value
    }

    private fun space() {
        while (place < text.length && text[place] in " \t\r\n") place++
    }

    private fun peek(): Char = if (place < text.length) text[place] else fail()

    private fun next(): Char = peek().also { place++ }

    private fun take(letter: Char): Boolean = (peek() == letter).also { if (it) place++ }

    private fun expect(letter: Char) {
        if (next() != letter) fail()
    }

    private fun fail(): Nothing = throw ModelException("The model's facts do not read at $place.")
}
