# Holds one PostgreSQL server: makes it, starts and stops it as standard input says, and ends it
# and removes its directory when standard input ends. That happens however the holder of the other
# end of the pipe ends, so that no server outlives the tests that it was made for.
#
# Arguments: the server's directory, the directory of its programs.
# Answers each command with one line: `up PID`, `down` or `failed`; its first line is its own pid.
directory=$1
programs=$2
data=$directory/data
log=$directory/log
server=

make() {
    "$programs/initdb" --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C --no-sync --no-instructions </dev/null >>"$log" 2>&1 &&
        cat "$directory/settings" >>"$data/postgresql.conf" && echo up || echo failed
}

start() {
    "$programs/postgres" -D "$data" -p "$1" </dev/null >>"$log" 2>&1 &
    server=$!
    while kill -0 "$server" 2>/dev/null; do
        # The first line tells whose file it is, the eighth how far that one is.
        case $(sed -n '1p;8p' "$data/postmaster.pid" 2>/dev/null | tr '\n' ' ') in
        "$server ready"*)
            echo "up $server"
            return
            ;;
        esac
        sleep 0.02
    done
    wait "$server"
    server=
    echo failed
}

stop() {
    if [ -n "$server" ]; then
        kill -QUIT "$server" 2>/dev/null
        wait "$server"
        server=
    fi
}

echo "$$"
while read -r command argument; do
    case $command in
    make) make ;;
    start) start "$argument" ;;
    stop)
        stop
        echo down
        ;;
    esac
done
stop
rm -rf "$directory"
