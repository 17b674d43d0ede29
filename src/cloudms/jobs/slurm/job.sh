# One task of an array, run by sh on whatever node Slurm chose. Set before: id (of the experiment), array (the number of
# this submission), setup (the digest of the set-up, or empty) and root (a folder whose files outlive the node, or empty for the home), and the
# function `payload`, which prints base64 of a tar: agent.sh, exp/, env/NUMBER and setup.tar.
#
# The agent does what it does for the other engine, with a folder of its own for each task. What came of the task is put
# together beside and renamed, so it is there whole or not at all: stdout, stderr, outputs/, missing, end, problem.
umask 077
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
export PATH
: "${HOME:=$(awk -F: -v uid="$(id -u)" '$3 == uid { print $6; exit }' /etc/passwd)}"
export HOME
root=${root:-$HOME}
mine=${CMS_NODE_FOLDER:-/var/tmp}/cms-$(id -u)
name=$(printf %04d "$SLURM_ARRAY_TASK_ID").$array.${SLURM_RESTART_COUNT:-0}
mkdir -p -m 700 "$mine" && [ -O "$mine" ] || exit 73
box=$(mktemp -d "$mine/box.XXXXXX") && cd "$box" || exit 73
here=$mine/.cms/experiments/$id.$name
task=$here/tasks/$name

agent() { HOME=$mine sh "$box/agent.sh" "$id.$name" "$@"; }

# keep FOLDER CODE: bring the results to where they outlive the node, and end.
keep() {
    results=$root/.cms/results/$id
    mkdir -p "$results" && rm -rf "${results:?}/.$name" && cp -R "$1" "$results/.$name" && rm -rf "${results:?}/$name" &&
        mv "$results/.$name" "$results/$name" || exit 74
    agent clean >/dev/null 2>&1
    cd / && rm -rf "$box"
    exit "$2"
}

# trouble TEXT: the task never began.
trouble() {
    mkdir -p out
    : >>out/stdout
    echo "$1" | tee out/problem >>out/stderr
    echo "- $(date +%s) 0 -" >out/end
    keep out 75
}

payload | base64 -d | tar -xzf - || exit 73
if [ -n "$setup" ]; then
    while :; do
        told=$(agent prepare "$setup" <setup.tar)
        case $told in
            *"setup $setup done"*) break ;;
            *"setup $setup failed"*)
                agent log "$setup" >setup.log 2>&1
                trouble "its set-up failed: $(grep -v -e '^==>' -e '^[[:space:]]*$' setup.log | tail -n 1)"
                ;;
        esac
        sleep 1
    done
fi
mkdir -p "one/tasks/$name"
mv exp one/exp
cat "env/${name%%.*}" >"one/tasks/$name/env"
echo "export HOME='$HOME'" >>"one/tasks/$name/env"
told=$(tar -C one -cf - exp tasks | agent put)
case $told in *trouble*) trouble "${told#*trouble }" ;; esac
trap 'agent stop >/dev/null' TERM # scancel, or the end of its time in Slurm
beats=0
until [ -e "$task/end" ]; do
    sleep 1 &
    wait $!
    beats=$((beats + 1))
    [ $((beats % 10)) -ne 0 ] || agent status >/dev/null
done
read -r code _ <"$task/end"
cp "$task/end" "$task/out/end"
case $code in '' | *[!0-9]*) code=1 ;; esac
keep "$task/out" "$code"
