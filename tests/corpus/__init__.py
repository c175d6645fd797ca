"""Raw requests on which parsers disagree, as data, and what must become of each."""
