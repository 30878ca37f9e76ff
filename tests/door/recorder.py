"""A gRPC service that hands every call on to another one and keeps what clients sent."""

import concurrent.futures

import grpc


class Recorder(grpc.GenericRpcHandler):
    """Listens on `port`; `calls` are (method, metadata, messages) in order of their end."""

    def __init__(self, target):
        self.calls = []
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(target, options)
        self.listener = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=options)
        self.listener.add_generic_rpc_handlers((self,))
        self.port = self.listener.add_insecure_port("127.0.0.1:0")
        self.listener.start()

    def hand_on(self, method, metadata, requests, context):
        messages = []
        self.calls.append((method, metadata, messages))

        def kept():
            for message in requests:
                messages.append(message)
                yield message

        call = self.channel.stream_stream(method)(kept(), metadata=metadata, timeout=30)
        try:
            context.send_initial_metadata(call.initial_metadata())
            yield from call
            context.set_trailing_metadata(call.trailing_metadata())
        except grpc.RpcError as error:
            context.set_trailing_metadata(call.trailing_metadata())
            context.abort(error.code(), error.details())

    def service(self, details):
        metadata = [(key, value) for key, value in details.invocation_metadata
                    if key not in ("user-agent",)]
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self.hand_on(
                details.method, metadata, requests, context))

    def end(self):
        self.listener.stop(None).wait()
        self.channel.close()
