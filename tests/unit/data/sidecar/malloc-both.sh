# Runs inside the sidecar; its standard output is profile.txt.
# What is sampled: TARGET_FILTER, or, if a TARGET_PID (of the host) is given, the container of
# that process, which is known by its pid namespace.
if [ -n "${TARGET_PID:-}" ]; then
  namespace=$(stat -Lc %i "/proc/$TARGET_PID/ns/pid") || exit 1
  # The sidecar shares the host's pid namespace: a target in that one is told by its pid alone.
  if [ -r /sys/kernel/btf/vmlinux ] && [ "$namespace" != "$(stat -Lc %i /proc/self/ns/pid)" ]; then
    TARGET_FILTER="((struct task_struct *)curtask)->nsproxy->pid_ns_for_children->ns.inum == $namespace"
  else
    TARGET_FILTER="pid == $TARGET_PID"
  fi
fi
version=$(bpftrace --version 2>/dev/null) || { echo "no bpftrace in this image" >&2; exit 127; }
echo "# $version"
echo "# filter: $TARGET_FILTER"
echo "# unit: bytes"
# What the rights allow is seen before anything is sampled; what they do not is said.
[ -e "/proc/${TARGET_PID:-19361}/root/." ] ||
  echo "WARNING: the files of the target cannot be read, so its functions have no names"
case $version in
  *" v0.1"[0-9].*)
    BPFTRACE_MAP_KEYS_MAX=65536; export BPFTRACE_MAP_KEYS_MAX
    # This old cache knows programs, not processes: it is right for one process alone.
    BPFTRACE_CACHE_USER_SYMBOLS=0; export BPFTRACE_CACHE_USER_SYMBOLS ;;
  *) BPFTRACE_MAX_MAP_KEYS=65536; export BPFTRACE_MAX_MAP_KEYS ;;
esac
# Who allocates is the C library that a process has mapped, another allocator, or, in a program
# that is linked statically, itself. The container chose these names: only harmless ones are used.
libraries=
for pid in 19361 19402 19403 ; do
  for path in "$(readlink "/proc/$pid/exe")" \
      $(sed -n 's#^[^ ]* r-xp [^/]*\(/[^ ]*/\(libc[.-]\|ld-musl\|lib[a-z]*malloc\)[^ /]*\)$#\1#p' "/proc/$pid/maps"); do
    case $path in *[!A-Za-z0-9_./+-]*|"") continue ;; esac
    id=$(stat -Lc %d:%i "/proc/$pid/root$path" 2>/dev/null) || continue
    case " $libraries" in *" $id="*) ;; *) libraries="$libraries$id=/proc/$pid/root$path " ;; esac
  done
done
functions=$(for library in $libraries; do bpftrace -l "uprobe:${library#*=}:*alloc" 2>/dev/null
  bpftrace -l "uprobe:${library#*=}:*memalign" 2>/dev/null; done)
allocations() {
  # how many bytes are asked for, and the functions of which that is so
  bytes=$1; shift; probes=
  for name; do
    for probe in $functions; do
      case $probe in uprobe:*":$name") probes="$probes${probes:+,}$probe" ;; esac
    done
  done
  [ -z "$probes" ] || cat <<PROGRAM
// The bytes that the target asks these functions for.
$probes /$TARGET_FILTER/ {
  if (nsecs - @begin < 10000000000) {
    @samples = sum($bytes);
    if (@odd) { @stacks_b[pid, comm, ustack] = sum($bytes); }
    else { @stacks_a[pid, comm, ustack] = sum($bytes); }
  }
}
PROGRAM
}
ALLOCATIONS=$(allocations arg0 malloc valloc; allocations "arg0 * arg1" calloc
  allocations arg1 realloc aligned_alloc memalign; allocations arg2 posix_memalign)
if [ -z "$ALLOCATIONS" ]; then
  echo "ERROR: no allocator with symbols was found in the target:$(
    for library in $libraries; do echo " ${library#*=}"; done)" >&2; exit 1
fi
# Bounded from inside: it ends and prints whatever happens to the link and to the launcher.
timeout -s INT -k 20 70 bpftrace - <<PROGRAM &
BEGIN { @begin = nsecs; @next = (uint64)1000000000; @odd = 0; printf("@@ sampling\n"); }
$ALLOCATIONS
// Names are looked up when a map is printed, so that is done while the target still lives.
// Printing can take long. So two maps take turns, and none gets samples before it was printed and
// cleared: what is queued here is done in order, "busy" comes last. The kernel drops a tick now
// and then, so nothing hangs on a single one.
interval:ms:50 {
  if (nsecs - @begin >= 10000000000) { exit(); }
  if (nsecs - @begin >= @next) {
    if (@odd) {
      if (@busy_a[0] == 0) {
        @odd = 0; @busy_b[0] = 1; print(@stacks_b); clear(@stacks_b); clear(@busy_b);
        @next = nsecs - @begin + 2000000000;
      }
    } else {
      if (@busy_b[0] == 0) {
        @odd = 1; @busy_a[0] = 1; print(@stacks_a); clear(@stacks_a); clear(@busy_a);
        @next = nsecs - @begin + 2000000000;
      }
    }
  }
}
// At its end bpftrace prints all maps by itself, after all that was queued. (Printing here could
// overtake that: each CPU has a queue of its own.)
END {
  clear(@begin); clear(@next); clear(@odd); clear(@busy_a); clear(@busy_b);
}
PROGRAM
child=$!
trap 'kill -INT $child' INT
trap 'kill -TERM $child' TERM
while wait $child; code=$?; kill -0 $child 2>/dev/null; do :; done
echo "@@ end $code"
exit $code
