"""From the numbers of a report back to the archives: lineage, audit, replay, comparison and exchange of runs."""
