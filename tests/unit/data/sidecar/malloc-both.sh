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
# that is linked statically, itself. The container chose all these names, and they go into a program
# that runs with rights: paths are taken only if they are harmless, functions only if they are ours.
set -f
libraries=
for pid in 19361 19402 19403 ${TARGET_PID:-}; do
  for path in "$(readlink "/proc/$pid/exe")" \
      $(sed -n 's#^[^ ]* r-xp [^/]*\(/[^ ]*/\(libc[.-]\|ld-musl\|lib[a-z]*malloc\)[^ /]*\)$#\1#p' "/proc/$pid/maps" 2>/dev/null); do
    case $path in *[!A-Za-z0-9_./+-]*|"") continue ;; esac
    file=/proc/$pid/root$path
    [ -f "$file" ] && [ ! -h "$file" ] && id=$(stat -Lc %d:%i "$file" 2>/dev/null) || continue
    case " $libraries" in *" $id="*) ;; *) libraries="$libraries$id=$file " ;; esac
  done
done
probes= number=0
for library in $libraries; do
  number=$((number + 1)); file=${library#*=}
  if [ $number -gt 16 ]; then
    echo "WARNING: the target has more than 16 allocators: allocations of the others are not counted"
    break
  fi
  there=$(timeout -s KILL 20 bpftrace -l "uprobe:$file:*al*" 2>/dev/null)
  for name in malloc valloc calloc realloc aligned_alloc memalign posix_memalign; do
    case "
$there
" in *"
uprobe:$file:$name
"*) probes="$probes $name=uprobe:$file:$name" ;; esac
  done
done
# The probes, joined by commas, of some of the functions.
of() {
  joined=
  for probe in $probes; do
    for name; do case $probe in "$name="*) joined="$joined${joined:+,}${probe#*=}" ;; esac; done
  done
  echo "$joined"
}
allocations() {
  # how many bytes are asked for, and the functions of which that is so
  bytes=$1; shift
  entries=$(of "$@")
  [ -z "$entries" ] || cat <<PROGRAM
// The bytes that the target asks these functions for. They call each other: what was called first
// counts. A size that no machine has is refused, and no allocation.
$entries /$TARGET_FILTER/ {
  if (@depth[tid] == 0 && (uint64)($bytes) < 0x800000000000) {
  if (nsecs - @begin < 10000000000) {
    @samples = sum($bytes);
    if (@odd) { @stacks_b[pid, comm, ustack] = sum($bytes); }
    else { @stacks_a[pid, comm, ustack] = sum($bytes); }
  }
  }
  @depth[tid]++;
}
PROGRAM
}
all=$(of malloc valloc calloc realloc aligned_alloc memalign posix_memalign)
ALLOCATIONS=$(allocations arg0 malloc valloc; allocations "arg0 * arg1" calloc
  allocations arg1 realloc aligned_alloc memalign; allocations arg2 posix_memalign)
RETURNS=$(echo "$all" | sed 's/uprobe:/uretprobe:/g')
set +f
if [ -z "$ALLOCATIONS" ]; then
  echo "ERROR: no allocator with symbols was found in the target:$(
    for library in $libraries; do echo " ${library#*=}"; done)" >&2; exit 1
fi
# Bounded from inside: it ends and prints whatever happens to the link and to the launcher.
timeout -s INT -k 20 70 bpftrace - <<PROGRAM &
BEGIN { @begin = nsecs; @next = (uint64)1000000000; @odd = 0; printf("@@ sampling\n"); }
$ALLOCATIONS
$RETURNS /@depth[tid] > 0/ {
  @depth[tid]--;
  if (@depth[tid] == 0) { delete(@depth[tid]); }
}
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
  clear(@depth);
}
PROGRAM
child=$!
trap 'kill -INT $child' INT
trap 'kill -TERM $child' TERM
while wait $child; code=$?; kill -0 $child 2>/dev/null; do :; done
echo "@@ end $code"
exit $code
