complete -c eyeline-call -l host -d 'Dial a call that waits: name or address[:port]; may be repeated [default: wait]' -r
complete -c eyeline-call -l camera -d 'Camera: index, part of its name, or path [default: the first]' -r
complete -c eyeline-call -l file -d 'A film with its sound, at its own pace, a still, or an address like rtsp://DOOR/; `-` takes live y4m or JPEGs from stdin' -r -F
complete -c eyeline-call -l screen -d 'The screen: a monitor by name or number, a part like 800x600+0+0, all, window, or a window\'s 0x number [default: the primary monitor]; on a Wayland desktop what its dialog asks, ask: once more' -r
complete -c eyeline-call -l mic -d 'Microphone: index or part of its name, or speakers: what this machine plays [default: the system\'s]' -r
complete -c eyeline-call -l sound -d 'How live sound is sent: pcm, as it is; opus, compressed, to who decodes that; auto, compressed where the path is narrow [default: auto]' -r
complete -c eyeline-call -s s -l size -l resolution -d 'Size of the camera\'s picture, like 1280x720 or 720p [default: the best for little delay]' -r
complete -c eyeline-call -s r -l fps -l framerate -d 'Pictures a second of the camera, like 30 or 29.97' -r
complete -c eyeline-call -l exposure -d 'How long each picture is exposed, like 10ms or 1/100 (s), or auto; shorter is less blur and less light' -r
complete -c eyeline-call -l keep-fps -d 'Keep the camera\'s rate in dim light, and refuse one that cannot; =off lets it take longer and brighter pictures [default: kept where it can be]' -r
complete -c eyeline-call -l zoom -d 'How much of the scene the camera shows: 2x, or one of its own numbers (--list)' -r
complete -c eyeline-call -l focus -d 'What is sharp: auto, infinity, near, or one of the camera\'s own numbers (--list)' -r
complete -c eyeline-call -l rotate -d 'Turn pictures by a quarter, a half or three quarters, clockwise' -r
complete -c eyeline-call -s q -l quality -d 'JPEG quality, 1 to 100; JPEGs that a camera makes go as they are' -r
complete -c eyeline-call -l replenish -d 'Send only what changed of a live raw picture, where that is less, or all of each [default: auto]' -r
complete -c eyeline-call -l passthrough -d 'What becomes of JPEGs of a camera: `on`, they, or what changed in them, go as they are; `off`, they are encoded anew; `auto`, what the path has room for [default: auto]' -r
complete -c eyeline-call -l width -d 'Scale pictures to this width; the height follows' -r
complete -c eyeline-call -s b -l bitrate -d 'Never send a receiver more than this, like 8M or 800k bits a second [default: what the path takes]' -r
complete -c eyeline-call -l echo -d 'Take what your speaker plays out of what your microphone hears, so that the others do not hear themselves: `on`, `off`, or `auto`, which is on unless --mic speakers is sent' -r
complete -c eyeline-call -l noise-suppression -d 'Make noise that goes on evenly, like a fan or a street, quieter than your voice: `on`, `off`, or `auto`, which is on unless --mic speakers is sent' -r
complete -c eyeline-call -l gain -d 'Make your voice louder where your microphone takes it in too low: `auto`, or `off` to send it as loud as it is' -r
complete -c eyeline-call -l speaker -d 'Speaker: index or part of its name [default: the system\'s]' -r
complete -c eyeline-call -l v4l2-sink -d 'Be a camera for the programs of this machine: a v4l2loopback device, like /dev/video10, shows who is large, or the first' -r -F
complete -c eyeline-call -l latency -d 'From camera and microphone to screen and speaker: as little as the network allows, or always so much (80ms, 1.5s; 2s at most)' -r
complete -c eyeline-call -l rtp-in -d 'Take in a camera that sends RTP (JPEG, L16), in the clear, to UDP port PORT of ADDR, sound to PORT+2; without ADDR from this machine alone; or what ffmpeg reads: a session description (FILE.sdp), rtsp://…; may be repeated' -r
complete -c eyeline-call -l title -d 'What the window is called [default: who is seen]' -r
complete -c eyeline-call -l geometry -d 'Size and place of the window: 1280x720, +100+50 or both, -0-0 is the lower right corner; or `picture`: as large as that, and anywhere [default: as it was the last time, else `picture`]' -r
complete -c eyeline-call -s p -l port -d 'Port: UDP for pictures, TCP for sound and control' -r
complete -c eyeline-call -l bind -d 'Address of this machine to wait on; the default is every one' -r
complete -c eyeline-call -l key -d 'Admit only who has this key too; `--key new` prints a strong one' -r
complete -c eyeline-call -l key-file -d 'Take the key from the first line of FILE; without it $EYELINE_KEY is used' -r -F
complete -c eyeline-call -l pair -d 'Pair two machines, once: who waits shows six digits, who dials types them, or gives them as --pair=CODE; from then on the two know each other without it' -r
complete -c eyeline-call -l forget -d 'Forget the machine that was paired with under this name, then end' -r
complete -c eyeline-call -l name -d 'What others see you called [default: this machine\'s name]' -r
complete -c eyeline-call -l duration -d 'End after this time, like 10s or 2m' -r
complete -c eyeline-call -l stats -d 'Print measurements on stdout; json is one object a second, and one of totals at the end' -r -f -a "json\t'One object a line'"
complete -c eyeline-call -l record -d 'Record all that is sent and received, as it is, into a Matroska file that plays at every moment; `-` is stdout. What is there by its name stays: the file gets a number' -r -F
complete -c eyeline-call -l record-split -d 'Go on in another file after so long or so much, like 10min, 1h, 500M or 2G' -r
complete -c eyeline-call -l snapshot -d 'Keep the first picture that comes, as it came, or as a PNG where the name ends so, and go on; s in the window or SIGUSR1 keeps more, called by their time' -r -F
complete -c eyeline-call -l record-last -d 'Keep the last seconds in memory, 5min at most; R in the window writes them to a file' -r
complete -c eyeline-call -l metrics -d 'Serve measurements to Prometheus, at http://ADDR:PORT/metrics; without ADDR to this machine alone' -r
complete -c eyeline-call -l rtp -d 'Send it on to a player, as RTP (JPEG and L16), in the clear: pictures to UDP port PORT of HOST, sound to PORT+2' -r
complete -c eyeline-call -l sdp -d 'Write the session description of --rtp, which players open, to FILE' -r -F
complete -c eyeline-call -l relay -d 'Meet others in the room of a relay (moq-relay), https://HOST:PORT/ROOM, with ?jwt=TOKEN where it wants one; all is encrypted from end to end with the key, which it needs' -r
complete -c eyeline-call -l relay-ca -d 'Trust the certificates in FILE (PEM) for --relay, and none of the system\'s' -r -F
complete -c eyeline-call -l web -d 'Show what comes, or what is sent, on a page for browsers, at http://ADDR:PORT; without ADDR to this machine alone' -r
complete -c eyeline-call -l web-cert -d 'Serve the page under https, with the certificate in FILE (PEM, with those that lead to its issuer)' -r -F
complete -c eyeline-call -l web-key -d 'The key of --web-cert (PEM)' -r -F
complete -c eyeline-call -l web-name -d 'A name under which browsers find this machine, beside its own; may be given again' -r
complete -c eyeline-call -l web-token -d 'What a browser must know, in place of a new secret each time: 16 letters or more' -r
complete -c eyeline-call -l color -d 'Colour warnings and errors: auto, always or never; $NO_COLOR is heeded' -r -f -a "auto\t''
always\t''
never\t''"
complete -c eyeline-call -l test -d 'A test picture and a tone: no device needed'
complete -c eyeline-call -l loop -d 'Start the film again at its end'
complete -c eyeline-call -l no-video -d 'Send no pictures'
complete -c eyeline-call -l no-audio -d 'Send no sound; a `call` plays none, either'
complete -c eyeline-call -l require-audio -d 'Stop if there is no microphone, instead of going on with pictures alone'
complete -c eyeline-call -l mirror -d 'Left for right, as in a mirror; after --rotate'
complete -c eyeline-call -l flip -d 'Upside down: top for bottom; after --rotate'
complete -c eyeline-call -l no-window -d 'Open no window'
complete -c eyeline-call -s f -l fullscreen -d 'Fill the screen'
complete -c eyeline-call -l always-on-top -d 'Keep the window above all others'
complete -c eyeline-call -l borderless -d 'No title bar, no borders'
complete -c eyeline-call -l chat -d 'Say to all what is typed on stdin, line by line'
complete -c eyeline-call -l ask -d 'Ask before anybody who dials is let in: y lets in, n does not'
complete -c eyeline-call -l wait -d 'Wait as well, where --host dials'
complete -c eyeline-call -l no-reconnect -d 'End when the peer is gone (exit 4); do not dial or wait again'
complete -c eyeline-call -l only-paired -d 'Let in only machines that were paired with, and whoever has --key'
complete -c eyeline-call -l no-announce -d 'Do not say on this network that this program waits, nor list who else does; `--host NAME` finds others all the same'
complete -c eyeline-call -l no-direct -d 'At a meeting, send and receive by way of the meeting point alone: it tells nobody else where this machine is'
complete -c eyeline-call -l list -d 'List cameras with their modes and what can be set, monitors, microphones and speakers (recv and call: and who waits on this network), then end; as JSON with `--stats json`'
complete -c eyeline-call -l doctor -d 'Say what of this machine, and of the way to --host, is wrong, and what mends it, then end: 0 if nothing is, else 1; as JSON with `--stats json`'
complete -c eyeline-call -l web-tls -d 'Serve the page under https, with a certificate of our own, of which a browser asks once'
complete -c eyeline-call -s v -l verbose -d 'Say more on stderr; -vv says everything'
complete -c eyeline-call -l quiet -d 'Say only what went wrong'
complete -c eyeline-call -l print-config -d 'Print what counts of command line, environment and config file, as such a file, then end; without keys'
complete -c eyeline-call -l no-config -d 'Leave out the config file, ~/.config/eyeline/config.toml; `--FLAG=false` leaves out one flag that it switches on'
complete -c eyeline-call -s h -l help -d 'Print this help'
complete -c eyeline-call -s V -l version -d 'Print the version'
complete -c call -w eyeline-call
