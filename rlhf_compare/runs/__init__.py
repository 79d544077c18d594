"""What every stage needs and no stage is: its directory, arguments, meter, guards, tracking."""
