"""What a page shows, as data frames: one question a file, answered from a database that is opened for reading alone."""
