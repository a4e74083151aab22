"""Label Studio's side: its forms, its tasks, and scores as predictions; nothing knows HTTP."""
