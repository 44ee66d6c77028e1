#!/bin/sh
# synapse @VERSION@ for Linux. The program is packed behind this script, which unpacks it into your cache when it is
# first called, and from then on only starts it.
home=${HOME:-}
[ -n "$home" ] || home=$(eval "echo ~$(id -un)")
case ${XDG_CACHE_HOME:-} in
/*) cache=$XDG_CACHE_HOME/synapse ;;
*) cache=$home/.cache/synapse ;;
esac
program=$cache/@KEY@/synapse
if [ -x "$program" ] && [ -O "$program" ]; then
	exec "$program" "$@"
fi

other="name another folder by XDG_CACHE_HOME (an absolute path)."

fail() {
	echo "synapse: $1" >&2
	exit 1
}

unpack() {
	umask 077
	mkdir -p "$cache" 2>/dev/null
	[ -w "$cache" ] || fail "$cache cannot be written: $other"
	[ -O "$cache" ] || fail "$cache belongs to another user: $other"
	exec 9>"$cache/.lock"
	if command -v flock >/dev/null; then
		flock 9 # of many first starts one unpacks; without it each does, and the first rename counts
		[ ! -x "$program" ] || return 0
		rm -rf "$cache"/.new.* # whoever made them has ended
	fi
	new=$cache/.new.$$
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' HUP INT TERM
	mkdir "$new" || fail "nothing can be made in $cache: is the disk full?"
	check
	payload | gzip -dc 2>"$new/said" | tar -xf - -C "$new" 2>>"$new/said" ||
		fail "it could not be unpacked into $cache ($(head -n 1 "$new/said")): is the disk full?"
	"$new/synapse-@VERSION@/synapse" --version >/dev/null 2>"$new/said" ||
		fail "it cannot run in $cache ($(head -n 1 "$new/said")). If no programs may be run there, $other"
	sync -f "$new" 2>/dev/null # what is renamed must be there after a power cut
	mv -T "$new/synapse-@VERSION@" "$cache/@KEY@" 2>/dev/null || [ -x "$program" ] ||
		fail "$cache/@KEY@ cannot be made: take away what is there."
	clean
	rm -rf "$new"
	trap - EXIT HUP INT TERM
}

payload() {
	tail -n +@LINES@ "$0"
}

check() {
	sum="none"
	for tool in sha256sum "shasum -a 256" "openssl dgst -sha256 -r"; do
		if command -v "${tool%% *}" >/dev/null; then
			sum=$(payload | $tool)
			break
		fi
	done
	case $sum in
	@SUM@*) ;;
	none) fail "there is no sha256sum (nor shasum, nor openssl) to check this file with: install coreutils." ;;
	*) fail "$0 is damaged: its sum is not the one it was made with. Download it again." ;;
	esac
}

# Takes other versions away; those that somebody still runs stay.
clean() {
	running=$(ls -l /proc/[0-9]*/exe 2>/dev/null)
	for old in "$cache"/*/; do
		old=${old%/}
		real=$(cd "$old" && pwd -P) || continue
		[ "$old" != "$cache/@KEY@" ] || continue
		case $running in *" $real/"*) continue ;; esac
		rm -rf "$old"
	done
}

unpack
[ -O "$program" ] || fail "$program belongs to another user: $other"
exec 9>&-
exec "$program" "$@"
