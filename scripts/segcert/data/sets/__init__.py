"""One module per data set. Each module defines a catalogue entry DATASET and, for an official release, a LAYOUT."""
