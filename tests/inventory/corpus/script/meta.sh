#!/bin/sh
case $1 in
--list) cat <<'END'
{"web": {"hosts": ["s1", "s2"], "vars": {"v": "web", "ansible_group_priority": 3}},
 "db": {"hosts": ["s3"], "children": ["replica"], "vars": {"t": "{{ v }}"}},
 "replica": ["s4"],
 "all": {"vars": {"everywhere": [1, {"a": null}]}},
 "_meta": {"hostvars": {"s1": {"ansible_host": "192.0.2.1", "n": 1.5}, "s9": {"x": 1}}}}
END
;;
--host) exit 1 ;;
esac
