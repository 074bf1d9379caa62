"""The bytes: .proto files, the code generated from them, and the codecs.

Messages of the core become bytes here and nowhere else; the rest of Lockring
never sees a generated class.

Elsewhere: what the messages mean (lockcore.core.messages), who sends them
(lockcore.service, lockcore.client).
"""
