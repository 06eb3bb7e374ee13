"""`python -m shared.decoder DESCRIPTOR`: a decoder server on the control socket that it inherits."""

import sys

from shared.decoder.server import main

main(int(sys.argv[1]))
