/**
 * The program in the lab's Java target: known functions with known shares of its work.
 *
 * <p>handleRequest spends three quarters of its time in renderReply and one in parseRequest; it is
 * at work a quarter of the time. A thread "allocator" stores things: three quarters of the bytes are
 * asked for in storeReply, one in storeToken. A thread "keeper" holds the ledger three times as long
 * as the stock, and two clerks wait for them, in writeLedger and in takeStock. 10,000 receipts of 40
 * bytes are kept. "App count" does one thing as often as it can, and prints ten times
 * a second the time, its CPU time (both in nanoseconds), and how often it has done it.
 */
public class App {
    static volatile long sink;
    static volatile byte[] stored;
    static final Object LEDGER = new Object();
    static final Object STOCK = new Object();
    static final Receipt[] RECEIPTS = new Receipt[10_000];

    static class Receipt {
        long number;
        long customer;
        long amount;
    }

    interface Work {
        void once() throws InterruptedException;
    }

    static long hotLeaf(int loops) {
        long total = 0;
        for (int number = 0; number < loops; number++) {
            total = (total * 31 + number) % 1000003;
        }
        return total;
    }

    static void parseRequest() {
        sink += hotLeaf(100_000);
    }

    static void renderReply() {
        sink += hotLeaf(300_000);
    }

    static void handleRequest() {
        parseRequest();
        renderReply();
    }

    static void storeReply() {
        for (int each = 0; each < 3; each++) {
            stored = new byte[16_384];
        }
    }

    static void storeToken() {
        stored = new byte[16_384];
    }

    static void store() throws InterruptedException {
        for (int each = 0; each < 10; each++) {
            storeReply();
            storeToken();
        }
        Thread.sleep(10);
    }

    static void keep() throws InterruptedException {
        synchronized (LEDGER) {
            Thread.sleep(30);
        }
        Thread.sleep(5);
        synchronized (STOCK) {
            Thread.sleep(10);
        }
        Thread.sleep(5);
    }

    static void writeLedger() throws InterruptedException {
        synchronized (LEDGER) {
            sink++;
        }
        Thread.sleep(1);
    }

    static void takeStock() throws InterruptedException {
        synchronized (STOCK) {
            sink++;
        }
        Thread.sleep(1);
    }

    static void start(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                while (true) {
                    work.once();
                }
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
    }

    static long cpuTime() {
        var bean = (com.sun.management.OperatingSystemMXBean)
            java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        return bean.getProcessCpuTime();
    }

    static void count() {
        long done = 0;
        long told = 0;
        while (true) {
            long now = System.nanoTime();
            if (now - told >= 100_000_000L) {
                System.out.println(now + " " + cpuTime() + " " + done);
                told = now;
            }
            for (int each = 0; each < 100; each++) {
                sink += hotLeaf(1_000);
            }
            done += 100;
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        if (arguments.length > 0 && arguments[0].equals("count")) {
            count();
        }
        for (int each = 0; each < RECEIPTS.length; each++) {
            RECEIPTS[each] = new Receipt();
        }
        start("allocator", App::store);
        start("keeper", App::keep);
        start("ledger-clerk", App::writeLedger);
        start("stock-clerk", App::takeStock);
        Thread.currentThread().setName("server");
        while (true) {
            long begun = System.nanoTime();
            for (int each = 0; each < 5; each++) {
                handleRequest();
            }
            Thread.sleep(Math.max(1, 3 * (System.nanoTime() - begun) / 1_000_000));
        }
    }
}
