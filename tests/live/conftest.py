from tests.live.server import live_server, people, prepared_folder, start_server

__all__ = ["live_server", "people", "prepared_folder", "start_server"]
