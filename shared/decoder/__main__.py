"""`python -m shared.decoder DESCRIPTOR`: a decoder server on the control socket that it inherits."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the frontend, which then closes the socket

from shared.decoder.server import main  # noqa: E402 -- takes a while, during which a Ctrl-C may arrive

main(int(sys.argv[1]))
