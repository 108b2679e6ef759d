"""`python -m slipway`, which is what the command `slipway` runs, too."""

from slipway.app import main

if __name__ == "__main__":
    main()
