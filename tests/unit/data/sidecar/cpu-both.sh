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
# The generations of bpftrace that this image has, the one that suits the kernel first.
set --
for program in bpftrace bpftrace-old ; do
  if command -v $program >/dev/null; then set -- "$@" $program; fi
done
[ $# -gt 0 ] || { echo "no bpftrace in this image" >&2; exit 127; }
# What the rights allow is seen before anything is sampled; what they do not is said.
[ -e "/proc/${TARGET_PID:-19361}/root/." ] ||
  echo "WARNING: the files of the target cannot be read, so its functions have no names"
if command -v grep >/dev/null && ! grep -q -i '^0*[1-9a-f][0-9a-f]* t' /proc/kallsyms; then
  echo "WARNING: the kernel hides where its functions are, so they have no names"
fi
# Waits for a child to its end, and says how it exited. A signal to us ends a "wait", and the child may
# end before the next one: what it exited with is still to be had then.
wait_for() {
  while wait "$1"; exited=$?; kill -0 "$1" 2>/dev/null; do :; done
  wait "$1" 2>/dev/null; last=$?
  [ $last -eq 127 ] || exited=$last
}
# Where the target's files lie in its memory, and which builds they are: addresses that have no name now
# get one later, from files that the operator has. It is found out while the target is sampled,
# and printed at the end, between nothing else.
build_of() {
  # The container chose what is there: no more than a look at its head, and that bounded.
  [ -f "$1" ] && [ ! -h "$1" ] || return
  timeout -s KILL 2 od -A n -v -t x1 -N 4096 "$1" | tr -d ' \n' |
    sed -n 's/.*04000000\(08\|10\|14\)00000003000000474e5500\([0-9a-f]\{40\}\).*/\1\2/p'
}
list_mappings() {
  for pid in 19361 19402 19403 ${TARGET_PID:-}; do
    last=
    while read -r range rights offset device inode path; do
      case $path in /*) ;; *) continue ;; esac
      [ "$path" = "$last" ] || { last=$path begin=; }
      case $begin$offset in 00000000) begin=${range%-*} ;; esac
      case $rights in ??x?) [ -z "$begin" ] || echo "$device:$inode $pid $begin $range $offset $path" ;; esac
    done <"/proc/$pid/maps"
  done | sort -u | head -n 2000 | while read -r file pid begin range offset path; do
    if [ "$file" != "$last" ]; then
      last=$file build=$(build_of "/proc/$pid/root$path")
      case $build in 08*) build=${build%????????????????????????} ;; 10*) build=${build%????????} ;; esac
      build=${build#??}
    fi
    echo "# mapping $pid $begin $range $offset ${build:--} $path"
  done
}
list_mappings >/dev/shm/mappings 2>/dev/null &
mapper=$!
print_mappings() { kill "$mapper" 2>/dev/null; cat /dev/shm/mappings 2>/dev/null; }
stopped=
while
  version=$("$1" --version 2>/dev/null) || { echo "no bpftrace in this image" >&2; exit 127; }
  echo "# $version"
  case $version in
    *" v0.1"[0-9].*)
      BPFTRACE_MAP_KEYS_MAX=65536; export BPFTRACE_MAP_KEYS_MAX
      # This old cache knows programs, not processes: it is right for one process alone.
      BPFTRACE_CACHE_USER_SYMBOLS=0; export BPFTRACE_CACHE_USER_SYMBOLS ;;
    *)
      BPFTRACE_MAX_MAP_KEYS=65536; export BPFTRACE_MAX_MAP_KEYS ;;
  esac
  echo "# filter: $TARGET_FILTER"
  read -r begun _ </proc/uptime
  # Bounded from inside: it ends and prints whatever happens to the link and to the launcher.
  timeout -s INT -k 20 70 "$1" - <<PROGRAM &
BEGIN { @begin = nsecs; @next = nsecs - @begin + 1000000000; @odd = 0; printf("@@ sampling\n"); }
// Every CPU, 99 times a second: what runs there counts if the filter takes it.
profile:hz:99 /$TARGET_FILTER/ {
  if (nsecs - @begin < 10000000000) {
    @samples = count();
    if (@odd) { @stacks_b[pid, comm, kstack, ustack] = count(); }
    else { @stacks_a[pid, comm, kstack, ustack] = count(); }
  }
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
}
PROGRAM
  child=$!
  trap 'stopped=1; kill -INT $child' INT
  trap 'stopped=1; kill -TERM $child' TERM
  wait_for $child; code=$exited
  read -r ended _ </proc/uptime
  # So it ends where the kernel refuses its program: with these codes, and before a whole sampling
  # was possible. Then the other generation is tried, with the same rights.
  case $code in 1|255) [ $# -gt 1 ] && [ -z "$stopped" ] ;; *) false ;; esac &&
    [ $((${ended%.*}${ended#*.} - ${begun%.*}${begun#*.})) -lt 1000 ]
do
  shift
  unset BPFTRACE_MAP_KEYS_MAX BPFTRACE_CACHE_USER_SYMBOLS BPFTRACE_MAX_MAP_KEYS
  echo "WARNING: $version could not begin: the other bpftrace of the image takes its place"
done
print_mappings
echo "@@ end $code"
exit $code
