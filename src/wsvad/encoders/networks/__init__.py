"""Published networks in plain torch, one a file, which load the public files of weights by their own names."""
