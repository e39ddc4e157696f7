"""As much of include/witan.h as the oracle needs, through ctypes: logits and token ids."""
import ctypes as C
import numpy as np

TOK_SPECIAL = 2


class Config(C.Structure):
    _fields_ = [(name, C.c_void_p) for name in ("allocator", "io", "progress", "progress_user", "log", "log_user")] + [
        ("threads", C.c_int32), ("tier", C.c_char_p)]


class Token(C.Structure):
    _fields_ = [("id", C.c_int32), ("seq", C.c_int32), ("logits", C.c_bool)]


class SessionOptions(C.Structure):
    _fields_ = [("n_ctx", C.c_int32), ("n_seq", C.c_int32), ("plan", C.c_void_p), ("kv_type", C.c_int32)]


class ModelInfo(C.Structure):
    """The first fields of witan_model_info; only ever used through a pointer."""
    _fields_ = [("path", C.c_char_p), ("arch", C.c_char_p), ("name", C.c_char_p)] + [
        (name, C.c_int32) for name in ("n_layer", "d_model", "n_head", "n_head_kv", "d_head", "n_vocab")]


SIGNATURES = {
    "witan_ctx_new": (C.c_void_p, [C.POINTER(Config)]),
    "witan_error": (C.c_char_p, [C.c_void_p]),
    "witan_model_open": (C.c_int, [C.c_void_p, C.c_char_p, C.c_void_p, C.POINTER(C.c_void_p)]),
    "witan_model_get_info": (C.POINTER(ModelInfo), [C.c_void_p]),
    "witan_session_new": (C.c_int, [C.c_void_p, C.c_void_p, C.POINTER(SessionOptions), C.POINTER(C.c_void_p)]),
    "witan_session_free": (None, [C.c_void_p]),
    "witan_feed_batch": (C.c_int, [C.c_void_p, C.POINTER(Token), C.c_size_t]),
    "witan_logits": (C.POINTER(C.c_float), [C.c_void_p, C.c_size_t]),
    "witan_tokenize": (C.c_int, [C.c_void_p, C.c_void_p, C.c_char_p, C.c_size_t, C.c_int, C.POINTER(C.POINTER(C.c_int32)),
                                 C.POINTER(C.c_size_t)]),
    "witan_free": (None, [C.c_void_p, C.c_void_p]),
}


class Witan:
    """A model opened by a built libwitan.so, with the kernels of a tier (None: the best). Lives as long as the program."""

    def __init__(self, library, path, tier=None):
        self.lib = C.CDLL(library)
        for name, (result, arguments) in SIGNATURES.items():
            f = getattr(self.lib, name)
            f.restype, f.argtypes = result, arguments
        config = Config(tier=tier and tier.encode())
        self.cx, self.model = self.lib.witan_ctx_new(C.byref(config)), C.c_void_p()
        self.check(self.lib.witan_model_open(self.cx, path.encode(), None, C.byref(self.model)))
        self.n_vocab = self.lib.witan_model_get_info(self.model).contents.n_vocab

    def check(self, status):
        if status: raise RuntimeError(self.lib.witan_error(self.cx).decode())

    def logits(self, ids):
        """Of all ids of one sequence, [n, n_vocab]."""
        session, batch = C.c_void_p(), (Token * len(ids))(*[Token(i, 0, True) for i in ids])
        self.check(self.lib.witan_session_new(self.cx, self.model, C.byref(SessionOptions(len(ids), 1, None, 1)), C.byref(session)))
        self.check(self.lib.witan_feed_batch(session, batch, len(ids)))
        rows = [np.ctypeslib.as_array(self.lib.witan_logits(session, i), (self.n_vocab,)).copy() for i in range(len(ids))]
        self.lib.witan_session_free(session)
        return np.stack(rows)

    def encode(self, text):
        raw, ids, n = text.encode(), C.POINTER(C.c_int32)(), C.c_size_t()
        self.check(self.lib.witan_tokenize(self.cx, self.model, raw, len(raw), TOK_SPECIAL, C.byref(ids), C.byref(n)))
        out = ids[:n.value]
        self.lib.witan_free(self.cx, ids)
        return out
