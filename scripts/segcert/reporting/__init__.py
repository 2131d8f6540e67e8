"""Tables, figures, the page."""
