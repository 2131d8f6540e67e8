"""One module per data set. Each defines a catalogue entry (DATASET) and, for official releases, paths (LAYOUT)."""
