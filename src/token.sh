# shellcheck shell=sh
#
# Takes --token out of the arguments, which every user of the machine can read in the process list as long as the node
# runs. Read it (.) at the top of a script, whose "$@" it changes: the token goes on in a pipe, whose descriptor
# SHOAL_TOKEN_FD names. The arguments of the script itself keep the token until the script has become the node.

token=
token_given=
left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    case $argument in
    --token=*)
        token=${argument#--token=}
        token_given=1
        ;;
    --token)
        # Without its value it stays: the node says what is missing.
        if [ "$left" -eq 0 ]; then
            set -- "$@" "$argument"
        else
            token=$1
            token_given=1
            shift
            left=$((left - 1))
        fi
        ;;
    *) set -- "$@" "$argument" ;;
    esac
done
if [ -n "$token_given" ]; then
    exec 9<<TOKEN
$token
TOKEN
    export SHOAL_TOKEN_FD=9
    unset token argument
fi
