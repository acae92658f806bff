#!/bin/sh
case $1 in
--list) cat <<'END'
{"_meta": {"hostvars": {"m1": {"raw": {"__ansible_unsafe": "{{ x }}"}}}}, "g": {"hosts": ["m1"]}}
END
;;
--host) exit 1 ;;
esac
