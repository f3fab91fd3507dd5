complete -c eyeline-recv -l host -d 'Dial a send that waits: name or address[:port]; repeat it for more [default: wait]' -r
complete -c eyeline-recv -l speaker -d 'Speaker: index or part of its name [default: the system\'s]' -r
complete -c eyeline-recv -l v4l2-sink -d 'Be a camera for the programs of this machine: a v4l2loopback device, like /dev/video10, shows who is large, or the first' -r -F
complete -c eyeline-recv -l latency -d 'From camera and microphone to screen and speaker: as little as the network allows, or always so much (80ms, 1.5s; 2s at most)' -r
complete -c eyeline-recv -l rtp-in -d 'Take in a camera that sends RTP (JPEG, L16), in the clear, to UDP port PORT of ADDR, sound to PORT+2; without ADDR from this machine alone; or what ffmpeg reads: a session description (FILE.sdp), rtsp://…; may be repeated' -r
complete -c eyeline-recv -l title -d 'What the window is called [default: who is seen]' -r
complete -c eyeline-recv -l geometry -d 'Size and place of the window: 1280x720, +100+50 or both, -0-0 is the lower right corner; or `picture`: as large as that, and anywhere [default: as it was the last time, else `picture`]' -r
complete -c eyeline-recv -l output -d 'Write pictures as y4m, or, when its name ends in .mjpeg or .mjpg, as the JPEGs that came; `-` is y4m on stdout. Of one sender, or, where its name has `{name}` in it, a file for each, called by the sender\'s name' -r -F
complete -c eyeline-recv -l audio-output -d 'Write sound as WAV, in step with --output; of one sender, with `{name}` a file for each, with `{mix}` in its name (which becomes "mix") one of all senders together' -r -F
complete -c eyeline-recv -s p -l port -d 'Port: UDP for pictures, TCP for sound and control' -r
complete -c eyeline-recv -l bind -d 'Address of this machine to wait on; the default is every one' -r
complete -c eyeline-recv -l key -d 'Admit only who has this key too; `--key new` prints a strong one' -r
complete -c eyeline-recv -l key-file -d 'Take the key from the first line of FILE; without it $EYELINE_KEY is used' -r -F
complete -c eyeline-recv -l pair -d 'Pair two machines, once: who waits shows six digits, who dials types them, or gives them as --pair=CODE; from then on the two know each other without it' -r
complete -c eyeline-recv -l forget -d 'Forget the machine that was paired with under this name, then end' -r
complete -c eyeline-recv -l name -d 'What others see you called [default: this machine\'s name]' -r
complete -c eyeline-recv -l duration -d 'End after this time, like 10s or 2m' -r
complete -c eyeline-recv -l stats -d 'Print measurements on stdout; json is one object a second, and one of totals at the end' -r -f -a "json\t'One object a line'"
complete -c eyeline-recv -l record -d 'Record all that is sent and received, as it is, into a Matroska file that plays at every moment; `-` is stdout. What is there by its name stays: the file gets a number' -r -F
complete -c eyeline-recv -l record-split -d 'Go on in another file after so long or so much, like 10min, 1h, 500M or 2G' -r
complete -c eyeline-recv -l snapshot -d 'Keep the first picture that comes, as it came, or as a PNG where the name ends so, and go on; s in the window or SIGUSR1 keeps more, called by their time' -r -F
complete -c eyeline-recv -l record-last -d 'Keep the last seconds in memory, 5min at most; R in the window writes them to a file' -r
complete -c eyeline-recv -l metrics -d 'Serve measurements to Prometheus, at http://ADDR:PORT/metrics; without ADDR to this machine alone' -r
complete -c eyeline-recv -l rtp -d 'Send it on to a player, as RTP (JPEG and L16), in the clear: pictures to UDP port PORT of HOST, sound to PORT+2' -r
complete -c eyeline-recv -l sdp -d 'Write the session description of --rtp, which players open, to FILE' -r -F
complete -c eyeline-recv -l relay -d 'Meet others in the room of a relay (moq-relay), https://HOST:PORT/ROOM, with ?jwt=TOKEN where it wants one; all is encrypted from end to end with the key, which it needs' -r
complete -c eyeline-recv -l relay-ca -d 'Trust the certificates in FILE (PEM) for --relay, and none of the system\'s' -r -F
complete -c eyeline-recv -l web -d 'Show what comes, or what is sent, on a page for browsers, at http://ADDR:PORT; without ADDR to this machine alone' -r
complete -c eyeline-recv -l web-cert -d 'Serve the page under https, with the certificate in FILE (PEM, with those that lead to its issuer)' -r -F
complete -c eyeline-recv -l web-key -d 'The key of --web-cert (PEM)' -r -F
complete -c eyeline-recv -l web-name -d 'A name under which browsers find this machine, beside its own; may be given again' -r
complete -c eyeline-recv -l web-token -d 'What a browser must know, in place of a new secret each time: 16 letters or more' -r
complete -c eyeline-recv -l color -d 'Colour warnings and errors: auto, always or never; $NO_COLOR is heeded' -r -f -a "auto\t''
always\t''
never\t''"
complete -c eyeline-recv -l no-window -d 'Open no window'
complete -c eyeline-recv -s f -l fullscreen -d 'Fill the screen'
complete -c eyeline-recv -l always-on-top -d 'Keep the window above all others'
complete -c eyeline-recv -l borderless -d 'No title bar, no borders'
complete -c eyeline-recv -l no-audio -d 'Play no sound'
complete -c eyeline-recv -l overwrite -d 'Write over whatever is there by these names: on a terminal they must be new, elsewhere new or files of yours; with `{name}` or `{mix}` files that are there are left, and a number makes the name new'
complete -c eyeline-recv -l wait -d 'Wait as well, where --host dials'
complete -c eyeline-recv -l no-reconnect -d 'End when the peer is gone (exit 4); do not dial or wait again'
complete -c eyeline-recv -l only-paired -d 'Let in only machines that were paired with, and whoever has --key'
complete -c eyeline-recv -l no-announce -d 'Do not say on this network that this program waits, nor list who else does; `--host NAME` finds others all the same'
complete -c eyeline-recv -l no-direct -d 'At a meeting, send and receive by way of the meeting point alone: it tells nobody else where this machine is'
complete -c eyeline-recv -l list -d 'List cameras with their modes and what can be set, monitors, microphones and speakers (recv and call: and who waits on this network), then end; as JSON with `--stats json`'
complete -c eyeline-recv -l doctor -d 'Say what of this machine, and of the way to --host, is wrong, and what mends it, then end: 0 if nothing is, else 1; as JSON with `--stats json`'
complete -c eyeline-recv -l web-tls -d 'Serve the page under https, with a certificate of our own, of which a browser asks once'
complete -c eyeline-recv -s v -l verbose -d 'Say more on stderr; -vv says everything'
complete -c eyeline-recv -l quiet -d 'Say only what went wrong'
complete -c eyeline-recv -l print-config -d 'Print what counts of command line, environment and config file, as such a file, then end; without keys'
complete -c eyeline-recv -l no-config -d 'Leave out the config file, ~/.config/eyeline/config.toml; `--FLAG=false` leaves out one flag that it switches on'
complete -c eyeline-recv -s h -l help -d 'Print this help'
complete -c eyeline-recv -s V -l version -d 'Print the version'
complete -c recv -w eyeline-recv
