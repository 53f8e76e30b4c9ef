-- What a conversation is: 1 a public room, 2 a GROUP, 3 a DIRECT, as ConversationKind has it.
ALTER TABLE conversations ADD COLUMN conversation_kind INTEGER NOT NULL DEFAULT 1;
