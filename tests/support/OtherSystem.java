// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.security.Provider;
import java.security.Security;
import java.util.Arrays;

/**
 * The unmodified {@code main} in a JVM that says of itself to be on another system. Arguments: {@code OS ARGUMENT...}.
 *
 * <p>{@code -Dtest.roots=FILE} makes the JDK's key stores of that system, with the CAs of a PEM file.
 * {@code -Dtest.stores=NAME,...} are the stores that there are.
 */
final class OtherSystem {
    private OtherSystem() { }

    public static void main(String... arguments) throws IOException, ClassNotFoundException {
        call(arguments[0]);
        if (System.getProperty("test.roots") != null) {
            Security.addProvider(new Stores("Apple", System.getProperty("test.stores").split(",")));
        }
        TokenRequest.main(Arrays.copyOfRange(arguments, 1, arguments.length));
    }

    /** Changes the system's name as soon as the JDK has decided what it decides by it. */
    static void call(String name) throws IOException, ClassNotFoundException {
        Class.forName("java.lang.ProcessImpl");
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                Socket client = new Socket(server.getInetAddress(), server.getLocalPort())) {
            client.supportedOptions();
        }
        System.setProperty("os.name", name);
    }

    /** The provider that Java has on one system alone, with the CAs of the file in {@code test.roots}. */
    static final class Stores extends Provider {
        private static final long serialVersionUID = 1L;

        Stores(String name, String... stores) {
            super(name, "1", "the CAs of a file");
            for (String store : stores) {
                put("KeyStore." + store, SystemRoots.class.getName());
            }
        }
    }
}
