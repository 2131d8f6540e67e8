"""One module per data set. Each defines a catalogue entry, DATASET, and, for an official release, a LAYOUT."""
