# The errors of the library, as ngh2 tells them apart.

cdef int _check(int result) except -1:
    if result < 0:
        raise _error_of(result)
    return 0


cdef object _error_of(int result):
    cdef str message = "HTTP/2 engine error: " + strerror(result).decode()
    if result == _E_NOMEM:
        return MemoryError("HTTP/2 engine ran out of memory")
    if result in (
        _E_INVALID_STREAM_ID, _E_STREAM_CLOSED, _E_STREAM_CLOSING, _E_STREAM_SHUT_WR
    ):
        return _ngh2.StreamUnavailableError(message)
    if result in (_E_START_STREAM_NOT_ALLOWED, _E_SESSION_CLOSING):
        return _ngh2.ConnectionClosingError(message)
    if result == _E_DATA_EXIST:
        return _ngh2.StreamProtocolError(message)
    if result == _E_BAD_CLIENT_MAGIC:
        return _ngh2.ConnectionProtocolError(message)
    if result in (_E_FLOODED, _E_TOO_MANY_CONTINUATIONS):
        return _ngh2.DenialOfServiceError(message)
    if result in (_E_INVALID_ARGUMENT, _E_TOO_MANY_SETTINGS):
        return ValueError(message)
    return _ngh2.InternalError(message)
