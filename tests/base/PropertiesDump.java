import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Properties;

/** The same lines as properties_dump.c, from java.util.Properties itself. */
class PropertiesDump {
    static String hex(Object text) {
        return HexFormat.of().formatHex(((String) text).getBytes(StandardCharsets.UTF_8));
    }

    /** What a C string in UTF-8 cannot hold is refused. */
    static boolean fits(Object text) {
        return ((String) text).indexOf('\0') < 0 && StandardCharsets.UTF_8.newEncoder().canEncode((String) text);
    }

    static class Printer extends Properties {
        @Override
        public synchronized Object put(Object key, Object value) {
            if (!fits(key) || !fits(value))
                throw new IllegalArgumentException();
            System.out.println(hex(key) + " " + hex(value));
            return null;
        }
    }

    public static void main(String[] files) throws Exception {
        for (int i = 0; i < files.length; i++) {
            System.out.println("file " + i);
            try (Reader reader = new InputStreamReader(Files.newInputStream(Path.of(files[i])), StandardCharsets.UTF_8)) {
                new Printer().load(reader);
            } catch (IllegalArgumentException error) {
                System.out.println("error");
            }
        }
    }
}
