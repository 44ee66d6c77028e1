#!/bin/sh
# synapse @VERSION@ for Linux. The program is packed behind this script, which unpacks it into your cache when it is
# first called, and from then on only starts it.
home=${HOME:-}
[ -n "$home" ] || home=$(PATH=${PATH-}:/usr/bin:/bin && eval "echo ~$(id -un 2>/dev/null)")
case ${XDG_CACHE_HOME:-} in
/*) cache=$XDG_CACHE_HOME/synapse ;;
*) cache=${home:+$home/.cache/synapse} ;;
esac
here=$cache/@KEY@
program=$here/synapse

# Is it there, and nothing that it starts from lost or changed since it was unpacked?
whole() {
	[ -x "$program" ] && [ -O "$program" ] && [ -e "$here/.whole" ] || return 1
	for part in @PARTS@; do
		[ -s "$here/$part" ] && [ ! "$here/$part" -nt "$here/.whole" ] || return 1
	done
}

if whole; then
	exec "$program" "$@"
fi

other="name another folder by XDG_CACHE_HOME (an absolute path)."

fail() {
	echo "synapse: $1" >&2
	exit 1
}

unpack() {
	PATH=${PATH:+$PATH:}/usr/bin:/bin
	unset TAR_OPTIONS GZIP
	umask 077
	case $cache in
	/*) ;;
	*) fail "you have no home folder: set HOME, or $other" ;;
	esac
	mkdir -p "$cache" 2>/dev/null
	[ -d "$cache" ] && [ -w "$cache" ] || fail "$cache cannot be written: $other"
	[ -O "$cache" ] || fail "$cache belongs to another user: $other"
	true 2>/dev/null >"$cache/.lock" || fail "nothing can be made in $cache: is the disk full?"
	exec 9>"$cache/.lock"
	if command -v flock >/dev/null; then
		flock 9 # of many first starts one unpacks; without it each does, and the first rename counts
		! whole || return 0
		rm -rf "$cache"/.new.* # whoever made them has ended
	fi
	new=$cache/.new.$$
	made=$new/synapse-@VERSION@
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' HUP INT TERM
	mkdir "$new" || fail "nothing can be made in $cache: is the disk full?"
	check
	said=$({ payload | gzip -dc | tar -xmf - -C "$new"; } 2>&1) && true 2>/dev/null >"$made/.whole" ||
		fail "it could not be unpacked into $cache (${said%%"$line"*}): is the disk full?"
	said=$("$made/synapse" --version 2>&1 >/dev/null) ||
		fail "it cannot run in $cache (${said%%"$line"*}). If no programs may be run there, $other"
	sync -f "$new" 2>/dev/null # what is renamed must be there after a power cut
	mv -T "$made" "$here" 2>/dev/null || whole ||
		{ mv -T "$here" "$new/damaged" && mv -T "$made" "$here"; } 2>/dev/null || whole ||
		fail "$here cannot be made: take away what is there."
	clean
}

line="
"

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

(unpack) || exit
exec "$program" "$@"
