"""What samereg does when something goes wrong: damaged files, killed processes, full disks, long use."""
