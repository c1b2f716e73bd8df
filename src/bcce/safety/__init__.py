"""What a script can do, proven from its text. Unknown means ask; never a repair means block."""
