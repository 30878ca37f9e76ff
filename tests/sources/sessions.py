"""Sessions on a server of Igloo, over Flight SQL."""
import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager


class session:
    """Statements in a session of its own: rows as tuples, or the error's text."""

    def __init__(self, server, *settings):
        self.server, self.settings = server, settings

    def __enter__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there are no transactions
            self.connection = adbc_driver_flightsql.dbapi.connect(
                f"grpc://{self.server.target}", db_kwargs={
                    adbc_driver_flightsql.DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"})
        self.cursor = self.connection.cursor()
        for setting in self.settings:
            self.run(setting)
        return self.run

    def run(self, text):
        try:
            self.cursor.execute(text)
            table = self.cursor.fetch_arrow_table()
            return list(zip(*(column.to_pylist() for column in table.columns)))
        except adbc_driver_manager.Error as error:
            return str(error)

    def __exit__(self, *_):
        self.cursor.close()
        self.connection.close()
