#!/bin/sh
case $1 in
--list) cat <<'END'
{"web": {"hosts": ["e1", "e2", "e3"]}, "sole": {"a": 1}}
END
;;
--host) case $2 in e1) echo '{"n": 1}' ;; e2) ;; *) echo '{"of": "'"$2"'"}' ;; esac ;;
esac
