// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.ProviderMismatchException;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.AclEntry;
import java.nio.file.attribute.AclEntryFlag;
import java.nio.file.attribute.AclEntryPermission;
import java.nio.file.attribute.AclEntryType;
import java.nio.file.attribute.AclFileAttributeView;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.DosFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.FileOwnerAttributeView;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.attribute.UserPrincipalNotFoundException;
import java.nio.file.spi.FileSystemProvider;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeMap;

/**
 * Two drives of Windows in memory, as the default file system of a JVM on another system:
 * {@code -Djava.nio.file.spi.DefaultFileSystemProvider=tokenrequest.WindowsFiles}. Jimfs has the files; here is what it
 * lacks: paths on the current drive ({@code \x}) and on a drive's current directory ({@code C:x}), an access control list
 * at creation, lists that a directory hands down, names that Windows changes or gives to devices, files without a key,
 * files in use, volumes without lists. It keeps a record of what was opened or looked at.
 *
 * <p>Access is not enforced by the lists: what the program does about them is the point. The files of the JDK itself are
 * those of the machine.
 */
public final class WindowsFiles extends FileSystemProvider {
    /** What the JDK's own class for paths forbids. sun.nio.fs.WindowsPathParser */
    private static final String RESERVED = "<>:\"|?*";
    private static final Set<String> VIEWS = Set.of("basic", "dos", "acl", "owner", "user");
    private static final Set<AclEntryPermission> READING = EnumSet.of(AclEntryPermission.READ_DATA,
        AclEntryPermission.READ_ATTRIBUTES, AclEntryPermission.READ_NAMED_ATTRS, AclEntryPermission.READ_ACL,
        AclEntryPermission.SYNCHRONIZE);
    private static final Set<AclEntryFlag> INHERITED = EnumSet.of(AclEntryFlag.FILE_INHERIT,
        AclEntryFlag.DIRECTORY_INHERIT);
    private static final Set<String> DEVICES = Set.of("CON", "PRN", "AUX", "NUL", "COM1", "LPT1");

    private final FileSystemProvider machine;
    private final Drives drives = new Drives();
    private final List<String> record = Collections.synchronizedList(new ArrayList<>());
    private final Map<String, Integer> busy = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
    private final Set<Character> withoutLists = new HashSet<>();
    private final Set<Character> withEmptyLists = new HashSet<>();
    private boolean busyIsRefusal;
    private boolean merging;
    private FileSystem memory;
    private String user = "LAPTOP\\alice";

    /** @param machine the provider of the machine's own files */
    public WindowsFiles(FileSystemProvider machine) {
        this.machine = machine;
    }

    /** This JVM's. */
    static WindowsFiles current() {
        return (WindowsFiles) java.nio.file.FileSystems.getDefault().provider();
    }

    // ---- For the tests ----

    /** Empties the drives and forgets faults and record. */
    synchronized void clear() throws IOException {
        memory = Jimfs.newFileSystem(Configuration.windows().toBuilder().setRoots("C:\\", "D:\\")
            .setWorkingDirectory("C:\\").setAttributeViews("basic", "dos", "owner", "acl", "user").build());
        record.clear();
        busy.clear();
        withoutLists.clear();
        withEmptyLists.clear();
        merging = false;
        busyIsRefusal = false;
        user = "LAPTOP\\alice";
        for (Path root : memory.getRootDirectories()) {
            guard(root, "BUILTIN\\Administrators", "NT AUTHORITY\\SYSTEM=all+inherit;BUILTIN\\Administrators=all+inherit;"
                + "BUILTIN\\Users=read+inherit");
        }
    }

    /** @param line a fault or circumstance, as {@link WindowsBench} describes it */
    void set(String line) {
        String[] words = line.split(" ", 3);
        switch (words[0]) {
            case "busy" -> busy.put(words[2], Integer.valueOf(words[1]));
            case "busy-is-refusal" -> busyIsRefusal = true;
            case "no-lists" -> withoutLists.add(words[1].charAt(0));
            case "empty-lists" -> withEmptyLists.add(words[1].charAt(0));
            case "merging" -> merging = true;
            case "account" -> user = words[1];
            default -> throw new IllegalArgumentException(line);
        }
    }

    /** What was opened, looked at, made or moved since {@link #forget}, a line each. */
    List<String> recorded() {
        synchronized (record) {
            return List.copyOf(record);
        }
    }

    void forget() {
        record.clear();
    }

    /** The files in memory, for reading and writing past the record. */
    FileSystem memory() throws IOException {
        synchronized (this) {
            if (memory == null) {
                clear();
            }
            return memory;
        }
    }

    /** The text of a file's owner and list, and the other way round. */
    static String shown(Path file) throws IOException {
        AclFileAttributeView view = Files.getFileAttributeView(file, AclFileAttributeView.class);
        List<String> entries = new ArrayList<>();
        for (AclEntry entry : view.getAcl()) {
            Set<AclEntryPermission> permissions = entry.permissions();
            String what = permissions.equals(EnumSet.allOf(AclEntryPermission.class)) ? "all"
                : permissions.equals(READING) ? "read" : String.join(",", permissions.stream().map(AclEntryPermission::name)
                    .sorted().toList());
            entries.add((entry.type() == AclEntryType.ALLOW ? "" : "!") + entry.principal().getName() + "=" + what
                + (entry.flags().isEmpty() ? "" : "+inherit"));
        }
        return view.getOwner().getName() + "\t" + String.join(";", entries);
    }

    static void guard(Path file, String owner, String list) throws IOException {
        AclFileAttributeView view = Files.getFileAttributeView(file, AclFileAttributeView.class);
        List<AclEntry> entries = new ArrayList<>();
        for (String text : list.isEmpty() ? new String[0] : list.split(";")) {
            boolean denies = text.startsWith("!");
            String[] parts = text.substring(denies ? 1 : 0).split("=", 2);
            boolean inherit = parts[1].endsWith("+inherit");
            String what = parts[1].replace("+inherit", "");
            Set<AclEntryPermission> permissions = what.equals("all") ? EnumSet.allOf(AclEntryPermission.class)
                : what.equals("read") ? READING : new HashSet<>(Arrays.stream(what.split(","))
                    .map(AclEntryPermission::valueOf).toList());
            entries.add(AclEntry.newBuilder().setType(denies ? AclEntryType.DENY : AclEntryType.ALLOW)
                .setPrincipal(new Account(parts[0])).setPermissions(permissions)
                .setFlags(inherit && Files.isDirectory(file) ? INHERITED : Set.of()).build());
        }
        view.setOwner(new Account(owner));
        view.setAcl(entries);
    }

    /** Gives a new file its owner, and the list that its directory hands down. */
    static void inherit(Path file, String owner) throws IOException {
        AclFileAttributeView view = Files.getFileAttributeView(file, AclFileAttributeView.class);
        view.setOwner(new Account(owner));
        view.setAcl(handedDown(file));
    }

    private static List<AclEntry> handedDown(Path file) throws IOException {
        List<AclEntry> entries = new ArrayList<>();
        for (AclEntry entry : Files.getFileAttributeView(file.getParent(), AclFileAttributeView.class).getAcl()) {
            if (!entry.flags().isEmpty()) {
                entries.add(Files.isDirectory(file) ? entry : AclEntry.newBuilder(entry).setFlags(Set.of()).build());
            }
        }
        return entries;
    }

    // ---- From a path to a file ----

    /** Whether it is one of the JDK's own files; those are the machine's. */
    private boolean isOfJdk(Path path) {
        return path.toString().replace('\\', '/').startsWith(System.getProperty("java.home") + "/");
    }

    private Path ofMachine(Path path) {
        return machine.getPath(URI.create("file://" + path.toString().replace('\\', '/')));
    }

    private Path note(String what, Path path) throws IOException {
        if (!(path instanceof WindowsPath given)) {
            throw new ProviderMismatchException();
        }
        record.add(what + " " + given + (given.isDriveless() ? " (without a drive)" : ""));
        WindowsPath whole = given.toAbsolutePath();
        if (whole.root.startsWith("\\\\")) {
            throw new NoSuchFileException(whole.toString());
        }
        Path file = memory().getPath(whole.root);
        for (String name : whole.names) {
            String base = name.split("[.]", 2)[0].toUpperCase(Locale.ROOT);
            if (DEVICES.contains(base)) {
                record.add("device " + base);
                throw new FileSystemException(given.toString(), null, "it is a device");
            }
            // Windows drops these.
            String stripped = name.equals(".") || name.equals("..") ? name : name.replaceFirst("[. ]+$", "");
            file = file.resolve(stripped);
        }
        return file;
    }

    private static List<AclEntry> listOf(FileAttribute<?>... attributes) {
        List<AclEntry> entries = null;
        for (FileAttribute<?> attribute : attributes) {
            if (!attribute.name().equals("acl:acl")) {
                throw new UnsupportedOperationException("'" + attribute.name() + "' not supported as initial attribute");
            }
            entries = new ArrayList<>();
            for (Object entry : (List<?>) attribute.value()) {
                entries.add((AclEntry) entry);
            }
        }
        return entries;
    }

    private void own(Path file, List<AclEntry> given) throws IOException {
        inherit(file, user);
        if (given != null) {
            List<AclEntry> entries = new ArrayList<>(given);
            if (merging) {
                entries.addAll(handedDown(file));
            }
            Files.getFileAttributeView(file, AclFileAttributeView.class).setAcl(entries);
        }
    }

    // ---- FileSystemProvider ----

    @Override
    public String getScheme() {
        return "file";
    }

    @Override
    public FileSystem newFileSystem(URI uri, Map<String, ?> env) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileSystem getFileSystem(URI uri) {
        return drives;
    }

    @Override
    public Path getPath(URI uri) {
        return drives.getPath(uri.getPath());
    }

    @Override
    public SeekableByteChannel newByteChannel(Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
            throws IOException {
        return newFileChannel(path, options, attributes);
    }

    @Override
    public FileChannel newFileChannel(Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
            throws IOException {
        if (isOfJdk(path)) {
            return machine.newFileChannel(ofMachine(path), options, attributes);
        }
        boolean writes = options.contains(StandardOpenOption.WRITE) || options.contains(StandardOpenOption.APPEND);
        Path file = note(writes ? "write" : "read", path);
        List<AclEntry> list = listOf(attributes);
        if (Files.isDirectory(file)) {
            throw new AccessDeniedException(path.toString());
        }
        if (writes) {
            useOf(path);
        }
        boolean isNew = Files.notExists(file);
        FileChannel channel = FileChannel.open(file, options);
        if (isNew) {
            own(file, list);
        }
        return channel;
    }

    @Override
    public DirectoryStream<Path> newDirectoryStream(Path directory, DirectoryStream.Filter<? super Path> filter)
            throws IOException {
        DirectoryStream<Path> entries = isOfJdk(directory) ? machine.newDirectoryStream(ofMachine(directory), path -> true)
            : Files.newDirectoryStream(note("list", directory));
        return new DirectoryStream<>() {
            @Override
            public Iterator<Path> iterator() {
                List<Path> accepted = new ArrayList<>();
                for (Path entry : entries) {
                    Path path = directory.resolve(entry.getFileName().toString());
                    try {
                        if (filter.accept(path)) {
                            accepted.add(path);
                        }
                    } catch (IOException e) {
                        throw new java.nio.file.DirectoryIteratorException(e);
                    }
                }
                return accepted.iterator();
            }

            @Override
            public void close() throws IOException {
                entries.close();
            }
        };
    }

    @Override
    public void createDirectory(Path directory, FileAttribute<?>... attributes) throws IOException {
        List<AclEntry> list = listOf(attributes);
        Path made = note("make", directory);
        Files.createDirectory(made);
        own(made, list);
    }

    @Override
    public void createSymbolicLink(Path link, Path target, FileAttribute<?>... attributes) throws IOException {
        throw new FileSystemException(link.toString(), null, "A required privilege is not held by the client");
    }

    @Override
    public void delete(Path path) throws IOException {
        Path file = note("delete", path);
        useOf(path);
        Files.delete(file);
    }

    @Override
    public void copy(Path source, Path target, CopyOption... options) throws IOException {
        Files.copy(note("copy", source), note("copy to", target), options);
    }

    /** An atomic move replaces what is there. */
    @Override
    public void move(Path source, Path target, CopyOption... options) throws IOException {
        Set<CopyOption> all = new HashSet<>(Arrays.asList(options));
        if (all.contains(StandardCopyOption.ATOMIC_MOVE)) {
            all.add(StandardCopyOption.REPLACE_EXISTING);
        }
        Path from = note("move", source);
        Path to = note("move to", target);
        useOf(target);
        Files.move(from, to, all.toArray(CopyOption[]::new));
    }

    /** Throws as often as the file is still in use by another program. */
    private void useOf(Path path) throws IOException {
        String name = path.toAbsolutePath().toString();
        int left = busy.getOrDefault(name, 0);
        if (left > 0) {
            busy.put(name, left - 1);
            record.add("in use " + name);
            if (busyIsRefusal) {
                throw new AccessDeniedException(name);
            }
            throw new FileSystemException(name, null,
                "The process cannot access the file because it is being used by another process");
        }
    }

    @Override
    public boolean isSameFile(Path path, Path other) throws IOException {
        return path.equals(other) || Files.isSameFile(note("look", path), note("look", other));
    }

    @Override
    public boolean isHidden(Path path) throws IOException {
        return Files.isHidden(note("look", path));
    }

    @Override
    public FileStore getFileStore(Path path) throws IOException {
        return Files.getFileStore(note("look", path));
    }

    @Override
    public void checkAccess(Path path, AccessMode... modes) throws IOException {
        if (isOfJdk(path)) {
            machine.checkAccess(ofMachine(path), modes);
            return;
        }
        Path file = note("look", path);
        file.getFileSystem().provider().checkAccess(file, modes);
    }

    @Override
    public <V extends FileAttributeView> V getFileAttributeView(Path path, Class<V> type, LinkOption... options) {
        try {
            Path file = note("look", path);
            char drive = Character.toUpperCase(path.toAbsolutePath().toString().charAt(0));
            boolean isAcl = type == AclFileAttributeView.class;
            if (isAcl || type == FileOwnerAttributeView.class) {
                return isAcl && withoutLists.contains(drive) ? null : type.cast(new Guard(file,
                    withEmptyLists.contains(drive) || withoutLists.contains(drive), isAcl ? "acl" : "owner"));
            }
            if (type == BasicFileAttributeView.class) {
                BasicFileAttributeView view = Files.getFileAttributeView(file, BasicFileAttributeView.class, options);
                return type.cast(new BasicFileAttributeView() {
                    @Override
                    public String name() {
                        return "basic";
                    }

                    @Override
                    public BasicFileAttributes readAttributes() throws IOException {
                        return withoutKey(view.readAttributes(), BasicFileAttributes.class);
                    }

                    @Override
                    public void setTimes(java.nio.file.attribute.FileTime modified, java.nio.file.attribute.FileTime accessed,
                            java.nio.file.attribute.FileTime created) throws IOException {
                        view.setTimes(modified, accessed, created);
                    }
                });
            }
            return null;
        } catch (IOException e) {
            return null;
        }
    }

    /** Java gives files on Windows no key. */
    private static <A extends BasicFileAttributes> A withoutKey(A attributes, Class<A> type) {
        return type.cast(Proxy.newProxyInstance(WindowsFiles.class.getClassLoader(), new Class<?>[] {type},
            (proxy, method, arguments) -> method.getName().equals("fileKey") ? null : method.invoke(attributes, arguments)));
    }

    @Override
    public <A extends BasicFileAttributes> A readAttributes(Path path, Class<A> type, LinkOption... options)
            throws IOException {
        if (isOfJdk(path)) {
            return machine.readAttributes(ofMachine(path), type, options);
        }
        if (type != BasicFileAttributes.class && type != DosFileAttributes.class) {
            throw new UnsupportedOperationException();
        }
        return withoutKey(Files.readAttributes(note("look", path), type, options), type);
    }

    @Override
    public Map<String, Object> readAttributes(Path path, String attributes, LinkOption... options) throws IOException {
        requireView(attributes);
        return new HashMap<>(Files.readAttributes(note("look", path), attributes, options));
    }

    @Override
    public void setAttribute(Path path, String attribute, Object value, LinkOption... options) throws IOException {
        requireView(attribute);
        Files.setAttribute(note("change", path), attribute, value, options);
    }

    private static void requireView(String attributes) {
        int colon = attributes.indexOf(':');
        if (colon > 0 && !VIEWS.contains(attributes.substring(0, colon))) {
            throw new UnsupportedOperationException("View '" + attributes.substring(0, colon) + "' not available");
        }
    }

    // ---- Owners and lists ----

    /** An account with its domain, as Java shows it; names have no case. */
    record Account(String name) implements GroupPrincipal {
        @Override
        public String getName() {
            return name;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Account account && account.name.equalsIgnoreCase(name);
        }

        @Override
        public int hashCode() {
            return name.toLowerCase(Locale.ROOT).hashCode();
        }

        @Override
        public String toString() {
            return name;
        }
    }

    /** A volume without lists belongs to everybody. */
    private record Guard(Path file, boolean isEmpty, String name) implements AclFileAttributeView {
        private AclFileAttributeView view() {
            return Files.getFileAttributeView(file, AclFileAttributeView.class);
        }

        @Override
        public List<AclEntry> getAcl() throws IOException {
            return isEmpty ? List.of() : view().getAcl();
        }

        @Override
        public void setAcl(List<AclEntry> entries) throws IOException {
            view().setAcl(entries);
        }

        @Override
        public UserPrincipal getOwner() throws IOException {
            return new Account(isEmpty ? "Everyone" : view().getOwner().getName());
        }

        @Override
        public void setOwner(UserPrincipal owner) throws IOException {
            view().setOwner(owner);
        }
    }

    /** The accounts that the machine knows, with the names by which Windows finds them. */
    private static final class Accounts extends UserPrincipalLookupService {
        private static final Map<String, String> KNOWN = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);

        static {
            for (String name : new String[] {"LAPTOP\\alice", "LAPTOP\\bob", "BUILTIN\\Administrators", "BUILTIN\\Users",
                    "NT AUTHORITY\\SYSTEM", "NT SERVICE\\TrustedInstaller"}) {
                KNOWN.put(name, name);
                KNOWN.put(name.substring(name.indexOf('\\') + 1), name);
            }
            KNOWN.put("Everyone", "Everyone");
        }

        @Override
        public UserPrincipal lookupPrincipalByName(String name) throws IOException {
            if (!KNOWN.containsKey(name)) {
                throw new UserPrincipalNotFoundException(name);
            }
            return new Account(KNOWN.get(name));
        }

        @Override
        public GroupPrincipal lookupPrincipalByGroupName(String name) throws IOException {
            return (GroupPrincipal) lookupPrincipalByName(name);
        }
    }

    // ---- FileSystem ----

    private final class Drives extends FileSystem {
        @Override
        public FileSystemProvider provider() {
            return WindowsFiles.this;
        }

        @Override
        public void close() {
            throw new UnsupportedOperationException();
        }

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public boolean isReadOnly() {
            return false;
        }

        @Override
        public String getSeparator() {
            return "\\";
        }

        @Override
        public Iterable<Path> getRootDirectories() {
            return List.of(getPath("C:\\"), getPath("D:\\"));
        }

        @Override
        public Iterable<FileStore> getFileStores() {
            return List.of();
        }

        @Override
        public Set<String> supportedFileAttributeViews() {
            return VIEWS;
        }

        @Override
        public Path getPath(String first, String... more) {
            StringBuilder text = new StringBuilder(first);
            for (String part : more) {
                if (!part.isEmpty()) {
                    text.append(text.length() == 0 ? "" : "\\").append(part);
                }
            }
            return parse(text.toString());
        }

        private WindowsPath parse(String input) {
            String text = input.replace('/', '\\');
            String root = "";
            if (text.startsWith("\\\\")) {
                int share = text.indexOf('\\', text.indexOf('\\', 2) + 1);
                if (text.indexOf('\\', 2) < 0) {
                    throw new InvalidPathException(input, "UNC path is missing sharename");
                }
                root = (share < 0 ? text : text.substring(0, share)) + "\\";
            } else if (text.length() > 1 && text.charAt(1) == ':' && Character.isLetter(text.charAt(0))) {
                root = text.substring(0, text.startsWith("\\", 2) ? 3 : 2);
            } else if (text.startsWith("\\")) {
                root = "\\";
            }
            List<String> names = new ArrayList<>();
            for (String name : text.substring(Math.min(root.length(), text.length())).split("\\\\")) {
                for (int i = 0; i < name.length(); i++) {
                    if (name.charAt(i) < ' ' || RESERVED.indexOf(name.charAt(i)) >= 0) {
                        throw new InvalidPathException(input, "Illegal char <" + name.charAt(i) + ">",
                            input.indexOf(name.charAt(i), i));
                    }
                }
                if (name.endsWith(" ")) {
                    throw new InvalidPathException(input, "Trailing char < >", input.length() - 1);
                }
                if (!name.isEmpty()) {
                    names.add(name);
                }
            }
            return new WindowsPath(root, names.isEmpty() && root.isEmpty() ? List.of("") : names);
        }

        @Override
        public PathMatcher getPathMatcher(String syntaxAndPattern) {
            try {
                FileSystem files = memory();
                PathMatcher matcher = files.getPathMatcher(syntaxAndPattern);
                return path -> matcher.matches(files.getPath(path.toString()));
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }

        @Override
        public UserPrincipalLookupService getUserPrincipalLookupService() {
            return new Accounts();
        }

        @Override
        public WatchService newWatchService() {
            throw new UnsupportedOperationException();
        }
    }

    // ---- Path ----

    /** A path by the rules of Java on Windows. The root is blank, {@code \}, {@code C:}, {@code C:\} or a share. */
    private final class WindowsPath implements Path {
        private final String root;
        private final List<String> names;

        WindowsPath(String root, List<String> names) {
            this.root = root;
            this.names = List.copyOf(names);
        }

        private WindowsPath of(Path path) {
            if (path instanceof WindowsPath windows) {
                return windows;
            }
            throw new ProviderMismatchException();
        }

        boolean isDriveless() {
            return root.equals("\\");
        }

        @Override
        public FileSystem getFileSystem() {
            return drives;
        }

        @Override
        public boolean isAbsolute() {
            return root.length() > 2;
        }

        @Override
        public Path getRoot() {
            return root.isEmpty() ? null : new WindowsPath(root, List.of());
        }

        @Override
        public Path getFileName() {
            return names.isEmpty() ? null : new WindowsPath("", names.subList(names.size() - 1, names.size()));
        }

        @Override
        public Path getParent() {
            return names.size() > 1 ? new WindowsPath(root, names.subList(0, names.size() - 1))
                : names.isEmpty() ? null : getRoot();
        }

        @Override
        public int getNameCount() {
            return names.size();
        }

        @Override
        public Path getName(int index) {
            return subpath(index, index + 1);
        }

        @Override
        public Path subpath(int begin, int end) {
            if (begin < 0 || begin >= end || end > names.size()) {
                throw new IllegalArgumentException();
            }
            return new WindowsPath("", names.subList(begin, end));
        }

        private boolean isSame(List<String> some, List<String> others) {
            return String.join("\\", some).equalsIgnoreCase(String.join("\\", others));
        }

        @Override
        public boolean startsWith(Path other) {
            return other instanceof WindowsPath windows && root.equalsIgnoreCase(windows.root)
                && windows.names.size() <= names.size() && isSame(names.subList(0, windows.names.size()), windows.names);
        }

        @Override
        public boolean endsWith(Path other) {
            return other instanceof WindowsPath windows && (windows.root.isEmpty() || equals(other))
                && windows.names.size() <= names.size()
                && isSame(names.subList(names.size() - windows.names.size(), names.size()), windows.names);
        }

        @Override
        public Path normalize() {
            List<String> result = new ArrayList<>();
            for (String name : names) {
                if (name.equals("..") && !result.isEmpty() && !result.get(result.size() - 1).equals("..")) {
                    result.remove(result.size() - 1);
                } else if (!name.equals(".") && !(name.equals("..") && isAbsolute())) {
                    result.add(name);
                }
            }
            return new WindowsPath(root, root.isEmpty() && result.isEmpty() ? List.of("") : result);
        }

        @Override
        public Path resolve(Path path) {
            WindowsPath other = of(path);
            if (other.isAbsolute()) {
                return other;
            }
            if (other.isDriveless()) {
                return root.length() < 2 ? other : new WindowsPath(root.length() == 2 ? root + "\\" : root, other.names);
            }
            if (!other.root.isEmpty() && !root.regionMatches(true, 0, other.root, 0, 2)) {
                return other;
            }
            if (other.names.equals(List.of(""))) {
                return this;
            }
            if (names.equals(List.of(""))) {
                return other;
            }
            List<String> all = new ArrayList<>(names);
            all.addAll(other.names);
            return new WindowsPath(root, all);
        }

        @Override
        public Path relativize(Path path) {
            WindowsPath other = of(path);
            if (!root.equalsIgnoreCase(other.root)) {
                throw new IllegalArgumentException("'other' has different root");
            }
            int common = 0;
            while (common < Math.min(names.size(), other.names.size())
                    && names.get(common).equalsIgnoreCase(other.names.get(common))) {
                common++;
            }
            List<String> result = new ArrayList<>(Collections.nCopies(names.size() - common, ".."));
            result.addAll(other.names.subList(common, other.names.size()));
            return new WindowsPath("", result.isEmpty() ? List.of("") : result);
        }

        @Override
        public URI toUri() {
            return URI.create("file:///" + toAbsolutePath().toString().replace('\\', '/').replace(" ", "%20"));
        }

        @Override
        public WindowsPath toAbsolutePath() {
            if (isAbsolute()) {
                return this;
            }
            WindowsPath here = drives.parse(System.getProperty("user.dir"));
            if (root.length() == 2 && !here.root.regionMatches(true, 0, root, 0, 2)) {
                return new WindowsPath(root + "\\", names);
            }
            return of(here.resolve(root.length() == 2 ? new WindowsPath("", names) : this));
        }

        @Override
        public Path toRealPath(LinkOption... options) throws IOException {
            return isOfJdk(this) ? this : drives.parse(note("look", this).toRealPath(options).toString());
        }

        @Override
        public File toFile() {
            return new File(toString());
        }

        @Override
        public WatchKey register(WatchService watcher, WatchEvent.Kind<?>[] events, WatchEvent.Modifier... modifiers) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Iterator<Path> iterator() {
            return new Iterator<>() {
                private int next;

                @Override
                public boolean hasNext() {
                    return next < names.size();
                }

                @Override
                public Path next() {
                    if (!hasNext()) {
                        throw new NoSuchElementException();
                    }
                    return getName(next++);
                }
            };
        }

        @Override
        public int compareTo(Path other) {
            return toString().compareToIgnoreCase(of(other).toString());
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof WindowsPath windows && toString().equalsIgnoreCase(windows.toString());
        }

        @Override
        public int hashCode() {
            return toString().toLowerCase(Locale.ROOT).hashCode();
        }

        @Override
        public String toString() {
            return root + String.join("\\", names);
        }
    }
}
