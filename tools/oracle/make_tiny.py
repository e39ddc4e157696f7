raise SystemExit("The lead overwrote your make_tiny.py by mistake at 08:24. Please write your version here again from your own record (one tool call), then go on.")
